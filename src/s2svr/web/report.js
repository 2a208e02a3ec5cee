// What came of a restoration: figures, and what became of everything in the file.

import { amount, duration, element } from "/assets/calls.js"

export function report(place, job) {
  const key = JSON.stringify([job.summary, job.report, job.fidelity])
  if (place.dataset.key === key) return
  place.dataset.key = key
  const { summary } = job
  const lines = []
  if (summary) {
    lines.push(`${summary.frames} frames, ${summary.size_in.join("×")} to ${summary.size_out.join("×")}, in `
      + `${duration(summary.seconds)} at ${summary.frames_per_second.toFixed(2)} frames/s; peak memory `
      + `${amount(summary.peak_memory)}; network ${summary.network}.`)
    if (summary.resumed) lines.push(`${summary.resumed} of them were restored before a break, and kept.`)
    if (summary.corrupt) lines.push(`${summary.corrupt} frames were decoded with errors.`)
    lines.push(...summary.damage)
  }
  lines.push(fidelity(job.fidelity), ...leftOut(job.fidelity))
  place.replaceChildren(...lines.map(textContent => element("p", { textContent })))
  if (job.said.length) {
    place.append(element("p", { textContent: "Warnings:" }),
      element("ul", {}, ...job.said.map(textContent => element("li", { textContent }))))
  }
  if (job.report?.length) place.append(table(job.report))
  if (job.report === null) place.append(element("p", { textContent: "What was kept is being looked at." }))
}

function fidelity(found) {
  if (!found) return "The distance from the source is being measured."
  if (found.missing) return `The distance from the source was not measured: ${found.missing}.`
  const psnr = found.psnr === null ? "equal to the source" : `${found.psnr.toFixed(2)} dB from the source`
  const base = found.base === null ? "" : ` (the source itself, resized: ${found.base.toFixed(2)} dB)`
  const drift = found.warning ? ` It ${found.warning}.` : " It does not drift away."
  return `Reduced to the source's size again, the result is ${psnr}${base}.${drift}`
}

function leftOut(found) { // frames that the distance says nothing of
  if (!found?.lost && !found?.added) return []
  return [`${found.lost} frames of the source have none beside them in the result, and ${found.added} of the result `
    + "none in the source."]
}

function table(rows) {
  const head = ["What", "Source", "Result", "Fate", "Why"]
  const line = (cells, name) => element("tr", {}, ...cells.map(textContent => element(name, { textContent })))
  const made = element("table", {},
    element("thead", {}, line(head, "th")),
    element("tbody", {}, ...rows.map(row => line([row.what, row.source, row.output, row.fate, row.why], "td"))))
  made.prepend(element("caption", { className: "hidden", textContent: "what became of everything in the file" }))
  const scroll = element("div", { className: "scroll", tabIndex: 0 }, made)
  scroll.setAttribute("role", "region")
  scroll.setAttribute("aria-label", "what was kept")
  return scroll
}
