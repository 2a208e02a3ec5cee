// Calls to the server; an error is one sentence.

export async function call(method, path, body) {
  const options = { method, headers: {} }
  if (body !== undefined) {
    options.headers["content-type"] = "application/json"
    options.body = JSON.stringify(body)
  }
  return answer(await send(path, options))
}

export async function send(path, options) {
  try {
    return await fetch(path, options)
  } catch {
    const lost = new Error("The server does not answer: is it still running?")
    lost.lost = true
    throw lost
  }
}

export async function answer(response) {
  if (response.status === 204) return null
  const data = await response.json().catch(() => null)
  if (!response.ok) {
    const error = new Error(data?.detail ?? `The server answered with ${response.status}.`)
    error.status = response.status
    throw error
  }
  return data
}

export function amount(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
  let place = 0
  while (count >= 1000 && place < units.length - 1) { count /= 1024; place++ }
  return `${count.toFixed(place === 0 || count >= 100 ? 0 : 1)} ${units[place]}`
}

export function duration(seconds) {
  const whole = Math.round(seconds)
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const two = n => String(n).padStart(2, "0")
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

export function element(name, values = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(values)) {
    if (key in made && key !== "list" && key !== "form") made[key] = value
    else made.setAttribute(key, value)
  }
  made.append(...children)
  return made
}

let newsTimer
export function tell(text) { // to screen readers
  clearTimeout(newsTimer)
  newsTimer = setTimeout(() => { document.getElementById("news").textContent = text }, 100)
}
