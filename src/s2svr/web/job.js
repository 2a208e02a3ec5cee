// One video: its plan, preview, settings, progress, buttons and report.

import { amount, call, duration, element, tell } from "/assets/calls.js"
import { report } from "/assets/report.js"
import { Stage } from "/assets/stage.js"

const STATES = {
  new: "ready to start", waiting: "waiting", running: "restoring", paused: "paused",
  done: "done", failed: "failed", cancelled: "cancelled",
}
const ACTIONS = { // what may be done in which state
  new: ["start", "remove"],
  waiting: ["pause", "cancel"],
  running: ["pause", "so-far", "cancel"],
  paused: ["resume", "so-far", "cancel"],
  done: ["result", "remove"],
  failed: ["start", "over", "so-far", "remove"],
  cancelled: ["start", "remove"],
}
const WORDS = {
  start: "Start", pause: "Pause", resume: "Go on", cancel: "Cancel", remove: "Remove",
  result: "Download", "so-far": "Take what is done", over: "Start over",
}

export class JobCard {
  constructor(job, about, move) {
    this.about = about
    this.job = job
    this.item = document.getElementById("job-template").content.firstElementChild.cloneNode(true)
    this.item.dataset.id = job.id
    const id = `job-${job.id}`
    this.find("h3").id = id
    this.find("article").setAttribute("aria-labelledby", id)
    this.stage = new Stage()
    this.where = element("input", { type: "number", min: "0", step: "any", inputMode: "decimal" })
    const show = element("button", { type: "button", textContent: "Show" })
    show.setAttribute("aria-label", `show three seconds of ${job.name} from there`)
    show.addEventListener("click", () => this.look())
    const row = element("div", { className: "row where" },
      element("label", {}, "Three seconds from", this.where), show)
    this.stage.root.append(row)
    this.find(".stage-place").append(this.stage.root)
    this.busy = element("p", { className: "hint making", role: "status" })
    this.busy.setAttribute("role", "status")
    this.stage.root.prepend(this.busy)
    for (const [name, step] of [["up", -1], ["down", 1]]) {
      const button = this.find(`.${name}`)
      button.setAttribute("aria-label", `move ${job.name} ${name}`)
      button.addEventListener("click", () => this.attempt(() => move(job.id, step)))
    }
    this.form = this.find(".settings")
    this.fill()
    this.form.addEventListener("change", () => this.change())
    this.form.addEventListener("submit", event => event.preventDefault())
    this.bar = this.find("progress")
    this.bar.setAttribute("aria-label", `progress of ${job.name}`)
  }

  find(selector) { return this.item.querySelector(selector) }

  fill() {
    const { task, scale } = this.form.elements
    task.append(element("option", { value: "", textContent: "as proposed" }))
    for (const [name, { help }] of Object.entries(this.about.tasks)) {
      task.append(element("option", { value: name, textContent: `${name}: ${help}` }))
    }
    scale.append(element("option", { value: "", textContent: "as the task makes it" }))
    for (const times of [1, 1.5, 2, 3, 4]) scale.append(element("option", { value: times, textContent: `${times} times` }))
    for (const [box, name] of [["1920x1080", "Full HD"], ["3840x2160", "4K"]]) {
      scale.append(element("option", { value: `fit ${box}`, textContent: `as fits in ${name}` }))
    }
  }

  place(index, count) {
    this.find(".up").disabled = index <= 0
    this.find(".down").disabled = index >= count - 1
  }

  remove() { this.stage.stop(); this.item.remove() }

  show(job) {
    const before = this.job.state
    this.job = job
    this.item.dataset.state = job.state
    this.find("h3").textContent = job.name
    this.find(".state").textContent = STATES[job.state] ?? job.state
    if (before !== job.state) tell(`${job.name}: ${STATES[job.state]}`)
    this.showError(job.error)
    this.showProgress(job)
    this.showActions(job)
    this.showFacts(job)
    this.showSettings(job)
    this.showPicture(job)
    const place = this.find(".report")
    place.hidden = job.state !== "done"
    if (job.state === "done") report(place.querySelector("div"), job)
    this.find(".age").textContent = job.expires
      ? `Will be removed on ${new Date(1000 * job.expires).toLocaleString()}${job.state === "done" && job.owned ? ", with its result" : ""}.` : ""
  }

  showError(text) {
    const place = this.find(".problem")
    if (place.textContent !== text) place.textContent = text
    place.hidden = !text
  }

  showProgress(job) {
    const on = ["running", "paused", "waiting"].includes(job.state)
    this.find(".progress").hidden = !on
    if (!on) return
    this.bar.max = job.total ?? 1
    this.bar.value = job.total ? Math.min(job.done, job.total) : 0
    const words = [`${job.done} of ${job.total ?? "?"} frames`]
    if (job.fps) words.push(`${job.fps.toFixed(2)} frames/s`)
    if (job.left !== null) words.push(`${duration(job.left)} left`)
    if (job.state === "running" && !job.done) words.push("starting")
    if (job.kept) words.push(`${job.kept} on the disk`)
    this.find(".pace").textContent = words.join(", ")
  }

  showActions(job) {
    const kept = job.kept > 0
    const names = ACTIONS[job.state].filter(name => name !== "so-far" || kept)
    const key = names.join() + job.output
    if (this.actions === key) return
    this.actions = key
    const focused = document.activeElement?.dataset?.action
    const place = this.find(".actions")
    const held = place.contains(document.activeElement)
    place.replaceChildren(...names.map(name => this.action(name)))
    if (held) (place.querySelector(`[data-action=${focused}]`) ?? place.firstElementChild)?.focus()
  }

  action(name) {
    const primary = ["start", "resume", "result"].includes(name)
    const values = { className: primary ? "button primary" : "button", textContent: WORDS[name] }
    const download = { result: "result", "so-far": "so-far" }[name]
    const made = download
      ? element("a", { ...values, href: `/api/jobs/${this.job.id}/${download}`, download: "" })
      : element("button", { ...values, type: "button" })
    made.dataset.action = name
    made.setAttribute("aria-label", `${WORDS[name]}: ${this.job.name}`)
    if (!download) made.addEventListener("click", () => this.attempt(() => this.act(name)))
    return made
  }

  async act(name) {
    const path = `/api/jobs/${this.job.id}`
    if (name === "remove") { await call("DELETE", path); return }
    if (name === "over") {
      await call("PATCH", path, { ...this.job.order, restart: true })
      name = "start"
    }
    this.show(await call("POST", `${path}/${name}`))
  }

  async attempt(work) {
    try { await work() } catch (error) { this.showError(error.message) }
  }

  async change() {
    const { task, quality, scale, strength, grain, start, end, codec, fps, overwrite } = this.form.elements
    const number = input => input.value === "" ? null : Number(input.value)
    const fit = scale.value.startsWith("fit ") ? scale.value.slice(4) : null
    const order = {
      ...this.job.order, task: task.value || null, quality: quality.value,
      scale: fit ? null : number(scale), fit, strength: number(strength) ?? 1, grain: grain.checked,
      start: number(start), end: number(end), codec: codec.value || null, fps: number(fps),
      overwrite: overwrite.checked,
    }
    await this.attempt(async () => this.show(await call("PATCH", `/api/jobs/${this.job.id}`, order)))
  }

  async look() {
    const start = this.where.value === "" ? null : Number(this.where.value)
    await this.attempt(async () => {
      this.show(await call("POST", `/api/jobs/${this.job.id}/preview`, { start }))
    })
  }

  showSettings(job) {
    const fixed = !["new", "failed", "cancelled"].includes(job.state)
    this.form.querySelector("fieldset").disabled = fixed
    const { task, scale, fit } = job.order
    const values = { ...job.order, task: task ?? "", scale: fit ? `fit ${fit.join("x")}` : scale }
    for (const [name, value] of Object.entries(values)) {
      const input = this.form.elements[name]
      if (!input || input === document.activeElement) continue
      if (input.type === "checkbox") input.checked = value
      else input.value = value ?? ""
    }
    this.find(".images").hidden = job.facts?.kind !== "images"
  }

  showFacts(job) {
    const { facts, plan } = job
    if (!facts) return
    const rows = [
      ["Source", `${facts.width}×${facts.height}, ${+facts.rate.toFixed(3)} frames/s, `
        + `${facts.seconds === null ? "length unknown" : duration(facts.seconds)}, ${facts.codec || facts.kind}`
        + `, ${facts.bits} bit${facts.hdr ? `, ${facts.hdr}` : ""}${facts.interlaced ? ", interlaced" : ""}`],
      ["Result", `${facts.size_out[0]}×${facts.size_out[1]}, ${job.output}`],
      ["Task", `${facts.task} (${facts.task_why})`],
    ]
    if (job.network) rows.push(["Network", `${job.network} (${job.why})`])
    if (plan) {
      rows.push(["Time", plan.seconds === null ? "not measured"
        : `about ${duration(plan.seconds)}, ${plan.frames_per_second.toFixed(2)} frames/s`])
      rows.push(["Disk", `${plan.disk === null ? "not measured" : `about ${amount(plan.disk)}`}; `
        + `${amount(plan.disk_free)} free`])
      rows.push(["Device", `${plan.device}, about ${amount(plan.memory)} of memory`])
    } else if (job.planning) rows.push(["Time and disk", "a few frames are being restored to measure them"])
    if (job.place && job.state === "done") rows.push(["File", job.place])
    const key = JSON.stringify([rows, facts.kept, facts.changes])
    if (key === this.facts) return
    this.facts = key
    this.find(".facts").replaceChildren(...rows.flatMap(([name, text]) =>
      [element("dt", { textContent: name }), element("dd", { textContent: text })]))
    const items = facts.kept.map(text => element("li", { textContent: text }))
    const place = this.find(".kept div")
    place.replaceChildren(element("ul", {}, ...items))
    const { changes } = facts
    place.append(element("p", { textContent: changes.length ? "What changes:" : "Nothing is left out." }))
    if (changes.length) place.append(element("ul", {}, ...changes.map(text => element("li", { textContent: text }))))
    this.find(".kept").open = changes.length > 0
  }

  showPicture(job) {
    const { preview, state, id } = job
    const path = `/api/jobs/${id}`
    const live = ["running", "paused"].includes(state) && job.pictures > 0
    const making = preview && ["waiting", "making"].includes(preview.state)
    let words = ""
    if (live) {
      if (this.stage.source?.pause) this.stage.stop()
      this.stage.picture(`${path}/pictures/${job.pictures}.jpg`)
      words = "The picture as it comes."
    } else if (preview?.state === "ready") {
      this.stage.video(`${path}/previews/${preview.key}.mp4`, () => this.noCodec(path, preview))
      const { total, start } = preview
      words = start === null ? "Three seconds." : `Three seconds from ${duration(start)}.`
    } else if (making) {
      if (preview.pictures > 0) {
        if (this.stage.source?.pause) this.stage.stop()
        this.stage.picture(`${path}/previews/${preview.key}-${preview.pictures}.jpg`)
      }
      const left = job.plan?.frames_per_second ? (preview.total - preview.done) / job.plan.frames_per_second : null
      if (state === "running") words = "The picture comes with the first frames."
      else if (preview.state === "waiting") words = "The preview comes next."
      else words = `The preview is being made: ${preview.done} of ${preview.total} frames`
        + `${left === null ? "" : `, about ${duration(left)} left`}.`
    } else if (preview?.state === "failed") words = `No preview: ${preview.error}`
    this.busy.textContent = words
    this.find(".stage-place").hidden = !(live || preview)
    this.find(".columns").classList.toggle("two", Boolean(live || preview))
  }

  noCodec(path, preview) {
    this.busy.replaceChildren("This browser cannot play H.264: try another one, or ",
      element("a", { href: `${path}/previews/${preview.key}.mp4`, download: "", textContent: "download the preview" }), ".")
    this.stage.address = `${path}/previews/${preview.key}.mp4`
  }
}
