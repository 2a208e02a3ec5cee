// Uploads in pieces: one that breaks off goes on where it was, also after the page was closed.

import { amount, answer, call, element, send, tell } from "/assets/calls.js"

const PIECE = 8 * 2 ** 20 // bytes of one call
const TRIES = 60 // of a second or more each
const OVER = [404, 413, 422] // statuses after which an upload is not gone on with
const IMAGE = /\.(png|jpe?g|tiff?|bmp|webp)$/i
const wait = seconds => new Promise(done => setTimeout(done, 1000 * seconds))

export function group(files) { // images of one folder are one video
  const folders = new Map(), sets = []
  for (const file of files) {
    const path = file.path ?? file.webkitRelativePath ?? ""
    if (file.name.startsWith(".")) continue
    if (!path.includes("/") || !IMAGE.test(file.name)) { sets.push({ name: file.name, files: [file] }); continue }
    const folder = path.slice(0, path.lastIndexOf("/"))
    if (!folders.has(folder)) folders.set(folder, [])
    folders.get(folder).push(file)
  }
  for (const [folder, images] of folders) {
    images.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }))
    sets.push({ name: folder.split("/").pop(), files: images, images: true })
  }
  return sets
}

export async function dropped(items) { // files, and those of folders
  const found = []
  const walk = async (entry, path) => {
    if (entry.isFile) {
      const file = await new Promise((done, fail) => entry.file(done, fail))
      file.path = path + entry.name
      found.push(file)
      return
    }
    const reader = entry.createReader()
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail))
      if (!some.length) return
      for (const inner of some) await walk(inner, `${path}${entry.name}/`)
    }
  }
  const entries = [...items].map(item => item.webkitGetAsEntry?.()).filter(Boolean)
  for (const entry of entries) await walk(entry, "")
  return found
}

let last = Promise.resolve() // one after the other: each is as fast as the line is
export function upload(set, list) {
  const row = new Row(set.name, list)
  last = last.then(() => run(set, row))
  return last
}

async function run(set, row) {
  const bytes = set.files.reduce((sum, file) => sum + file.size, 0)
  const key = `upload ${set.name} ${bytes} ${set.files[0].lastModified}`
  try {
    if (!bytes) throw new Error(`${set.name} is empty`)
    const body = new Blob(set.files)
    let state = await known(key)
    if (state === null) {
      const files = set.images ? set.files.map(file => ({ name: file.name, bytes: file.size })) : []
      state = await call("POST", "/api/uploads", { name: set.name, bytes, files })
      localStorage.setItem(key, state.id)
    }
    let tries = 0
    while (!state.job) {
      if (row.stopped) { await call("DELETE", `/api/uploads/${state.id}`); break }
      row.show(state.received, bytes)
      const piece = body.slice(state.received, state.received + PIECE)
      try {
        const address = `/api/uploads/${state.id}?offset=${state.received}`
        state = await answer(await send(address, { method: "PUT", body: piece }))
        tries = 0
      } catch (error) {
        if (!(error.lost || error.status === 409) || ++tries > TRIES) throw error
        row.say("The line broke; the upload goes on as soon as the server answers.")
        await wait(Math.min(tries, 10))
        state = await call("GET", `/api/uploads/${state.id}`).catch(() => state)
      }
    }
    localStorage.removeItem(key)
    row.remove()
    if (state.job) tell(`${set.name} is uploaded`)
  } catch (error) {
    if (OVER.includes(error.status)) localStorage.removeItem(key) // else the same file goes on where it was
    row.fail(error.message)
  }
}

async function known(key) { // an upload that the last page began
  const id = localStorage.getItem(key)
  if (!id) return null
  return call("GET", `/api/uploads/${id}`).catch(error => {
    if (error.status === 404) return null
    throw error
  })
}

class Row {
  constructor(name, list) {
    this.name = name
    this.bar = element("progress", { max: 1, value: 0 })
    this.bar.setAttribute("aria-label", `upload of ${name}`)
    this.text = element("span", { textContent: `${name}: waiting` })
    this.button = element("button", { type: "button", textContent: "Stop" })
    this.button.setAttribute("aria-label", `stop the upload of ${name}`)
    this.button.addEventListener("click", () => { this.stopped = true; if (this.failed) this.remove() })
    this.item = element("li", {}, this.text, this.bar, this.button)
    list.append(this.item)
  }

  show(received, bytes) {
    this.bar.value = received / bytes
    this.text.textContent = `${this.name}: ${amount(received)} of ${amount(bytes)}`
    if (received + PIECE >= bytes) this.text.textContent += ", then it is looked at"
  }

  say(text) { this.text.textContent = text.startsWith(this.name) ? text : `${this.name}: ${text}` }

  fail(text) {
    this.failed = true
    this.item.classList.add("problem")
    this.item.setAttribute("role", "alert")
    this.bar.hidden = true
    this.say(text)
    this.button.textContent = "Close"
    this.button.setAttribute("aria-label", `close the message about ${this.name}`)
  }

  remove() { this.item.remove() }
}
