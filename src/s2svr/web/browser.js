// The server's own folder: its videos can be taken without an upload.

import { amount, call, element, tell } from "/assets/calls.js"

export class Browser {
  constructor(button, place) {
    this.button = button
    this.place = place
    button.hidden = false
    button.addEventListener("click", () => {
      place.hidden = !place.hidden
      button.setAttribute("aria-expanded", String(!place.hidden))
      if (!place.hidden) this.open("")
    })
  }

  async open(path) {
    this.place.replaceChildren(element("p", { className: "hint", textContent: "Reading the folder" }))
    try {
      this.list(path, await call("GET", `/api/files?path=${encodeURIComponent(path)}`))
    } catch (error) { this.problem(error) }
  }

  list(path, items) {
    const rows = items.map(item => this.row(item))
    if (path) {
      const up = path.split("/").slice(0, -1).join("/")
      rows.unshift(element("li", {}, this.pushed("↰ up", () => this.open(up))))
    }
    const videos = items.filter(item => !item.folder)
    const all = this.pushed(`Take all ${videos.length} videos`, () => this.take(videos))
    all.hidden = videos.length < 2
    const images = this.pushed("Take the images of this folder as a video", () => this.take([{ path }]))
    images.hidden = videos.length > 0 || !path
    this.place.replaceChildren(
      element("p", { textContent: path ? `Folder ${path}` : "The server's folder" }),
      element("ul", {}, ...rows),
      element("div", { className: "buttons" }, all, images))
    if (!rows.length) this.place.append(element("p", { className: "hint", textContent: "No videos here." }))
  }

  row(item) {
    const text = item.folder ? `▸ ${item.name}` : `${item.name} (${amount(item.bytes)})`
    const act = item.folder ? () => this.open(item.path) : () => this.take([item])
    const button = this.pushed(text, act)
    button.setAttribute("aria-label", item.folder ? `open the folder ${item.name}` : `take ${text}`)
    return element("li", {}, button)
  }

  pushed(text, act) {
    const button = element("button", { type: "button", textContent: text })
    button.addEventListener("click", act)
    return button
  }

  async take(items) {
    for (const item of items) {
      try {
        await call("POST", "/api/files", { path: item.path })
        tell(`${item.name ?? item.path} is taken`)
      } catch (error) { this.problem(error) }
    }
  }

  problem(error) {
    const text = element("p", { className: "problem", textContent: error.message })
    text.setAttribute("role", "alert")
    this.place.prepend(text)
  }
}
