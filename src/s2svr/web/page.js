// The page: what the server says of each video, and the buttons for it.

import { amount, call, duration, element, tell } from "/assets/calls.js"
import { Browser } from "/assets/browser.js"
import { JobCard } from "/assets/job.js"
import { dropped, group, upload } from "/assets/upload.js"

const at = id => document.getElementById(id)
const cards = new Map()
let about = null

function connect() {
  const events = new EventSource("/api/events")
  events.addEventListener("open", () => { at("connection").hidden = true })
  events.addEventListener("error", () => {
    at("connection").textContent =
      "The server does not answer. Its jobs go on when it is started again, and this page with them."
    at("connection").hidden = false
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3000)
  })
  events.addEventListener("jobs", event => showAll(JSON.parse(event.data)))
  events.addEventListener("job", event => show(JSON.parse(event.data)))
  events.addEventListener("gone", event => remove(JSON.parse(event.data).id))
}

function showAll(jobs) {
  const ids = new Set(jobs.map(job => job.id))
  for (const id of [...cards.keys()]) if (!ids.has(id)) remove(id)
  jobs.forEach(show)
  order(jobs.map(job => job.id))
}

function show(job) {
  let card = cards.get(job.id)
  if (!card) {
    card = new JobCard(job, about, move)
    cards.set(job.id, card)
    at("jobs").append(card.item)
    at("empty").hidden = true
    edges()
  }
  card.show(job)
}

function remove(id) {
  cards.get(id)?.remove()
  cards.delete(id)
  at("empty").hidden = cards.size > 0
  edges()
}

function order(ids) {
  for (const id of ids) if (cards.has(id)) at("jobs").append(cards.get(id).item)
  edges()
}

function edges() {
  const items = [...at("jobs").children]
  for (const card of cards.values()) card.place(items.indexOf(card.item), items.length)
}

async function move(id, step) {
  const ids = [...at("jobs").children].map(item => item.dataset.id)
  const from = ids.indexOf(id), to = from + step
  if (to < 0 || to >= ids.length) return
  ids.splice(to, 0, ...ids.splice(from, 1))
  const jobs = await call("PUT", "/api/queue", { jobs: ids })
  order(jobs.map(job => job.id))
  tell(`${cards.get(id).job.name} is number ${to + 1} of ${ids.length}`)
}

function take(files) { for (const set of group(files)) upload(set, at("uploads")) }

function listen() {
  for (const id of ["files", "folder"]) {
    at(id).addEventListener("change", () => { take([...at(id).files]); at(id).value = "" })
  }
  const drop = at("drop")
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, event => { event.preventDefault(); drop.classList.add("over") })
  }
  document.addEventListener("dragleave", event => {
    if (event.relatedTarget === null) drop.classList.remove("over")
  })
  document.addEventListener("drop", async event => {
    event.preventDefault()
    drop.classList.remove("over")
    const plain = [...event.dataTransfer.files]
    const found = await dropped(event.dataTransfer.items)
    take(found.length ? found : plain)
  })
}

async function begin() {
  if (location.search) history.replaceState(null, "", "/") // the token is in a cookie now
  listen()
  about = await call("GET", "/api/about")
  at("limits").textContent = `At most ${amount(about.max_upload)} each; ${amount(about.free)} are free `
    + `on the server's disk. A video that is not being restored is removed after ${duration_days(about.keep)}.`
  if (about.root) new Browser(at("browse"), at("browser"))
  connect()
}

function duration_days(seconds) {
  const days = seconds / 86400
  return days >= 1 ? `${+days.toFixed(1)} days` : duration(seconds)
}

begin().catch(error => {
  at("connection").textContent = error.message
  at("connection").hidden = false
})
