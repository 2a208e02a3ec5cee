// Two pictures behind one slider. They come in one file, one above the other, so they are always
// in step: what the network was given above, what it made of it below.

import { element } from "/assets/calls.js"

const MOST = 16 // times larger

export class Stage {
  constructor() {
    this.cut = 0.5
    this.zoom = 1
    this.center = [0.5, 0.5]
    this.source = null // an image or a video of both pictures
    this.address = ""
    this.build()
  }

  build() {
    this.canvas = element("canvas", { width: 640, height: 360 })
    this.canvas.setAttribute("role", "img")
    this.canvas.setAttribute("aria-label", "before on the left of the slider, after on its right")
    const screen = element("div", { className: "screen" }, this.canvas,
      element("b", { className: "left", textContent: "before" }),
      element("b", { className: "right", textContent: "after" }))
    this.slider = element("input", { type: "range", min: "0", max: "100", step: "0.5", value: "50" })
    this.slider.setAttribute("aria-label", "where before and after meet")
    this.slider.addEventListener("input", () => { this.cut = this.slider.value / 100; this.draw() })
    this.play = element("button", { type: "button", className: "play", textContent: "Pause", hidden: true })
    this.play.addEventListener("click", () => this.toggle())
    this.seek = element("input", { type: "range", min: "0", max: "1", step: "any", value: "0", hidden: true })
    this.seek.setAttribute("aria-label", "place in the preview, seconds")
    this.seek.addEventListener("input", () => {
      if (this.source?.pause) { this.pause(); this.source.currentTime = Number(this.seek.value) }
    })
    const larger = element("button", { type: "button", className: "icon", textContent: "+" })
    larger.setAttribute("aria-label", "zoom in")
    const smaller = element("button", { type: "button", className: "icon", textContent: "−" })
    smaller.setAttribute("aria-label", "zoom out")
    this.scale = element("output", { textContent: "100 %" })
    this.scale.setAttribute("aria-label", "zoom")
    larger.addEventListener("click", () => this.zoomBy(2))
    smaller.addEventListener("click", () => this.zoomBy(0.5))
    this.root = element("div", { className: "stage blank" }, screen, this.slider,
      element("div", { className: "row" }, this.play, smaller, larger, this.scale), this.seek)
    this.listen(screen)
  }

  listen(screen) {
    let held = null
    screen.addEventListener("pointerdown", event => {
      screen.setPointerCapture(event.pointerId)
      held = { x: event.clientX, y: event.clientY, center: [...this.center] }
      if (this.zoom === 1) this.cutAt(event)
    })
    screen.addEventListener("pointermove", event => {
      if (held === null) return
      if (this.zoom === 1) { this.cutAt(event); return }
      const box = this.canvas.getBoundingClientRect()
      this.center = [
        held.center[0] - (event.clientX - held.x) / box.width / this.zoom,
        held.center[1] - (event.clientY - held.y) / box.height / this.zoom,
      ]
      this.draw()
    })
    for (const name of ["pointerup", "pointercancel"]) screen.addEventListener(name, () => { held = null })
    screen.addEventListener("wheel", event => {
      if (!event.ctrlKey && this.zoom === 1) return // the page scrolls
      event.preventDefault()
      this.zoomBy(event.deltaY < 0 ? 1.25 : 0.8)
    }, { passive: false })
  }

  cutAt(event) {
    const box = this.canvas.getBoundingClientRect()
    this.cut = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
    this.slider.value = this.cut * 100
    this.draw()
  }

  zoomBy(factor) {
    this.zoom = Math.min(MOST, Math.max(1, this.zoom * factor))
    this.scale.textContent = `${Math.round(this.zoom * 100)} %`
    this.root.classList.toggle("zoomed", this.zoom > 1)
    this.draw()
  }

  picture(address) {
    if (address === this.address || this.source?.pause) return
    this.address = address
    const image = new Image()
    image.onload = () => { if (!this.source?.pause) { this.source = image; this.draw() } }
    image.src = address // one that fails leaves the last one
  }

  video(address, problem) {
    if (address === this.address) return
    this.stop()
    this.address = address
    const video = element("video", { muted: true, loop: true, playsInline: true, preload: "auto" })
    video.setAttribute("aria-hidden", "true")
    if (!video.canPlayType('video/mp4; codecs="avc1.640028"')) { problem(); return }
    video.addEventListener("error", () => problem())
    video.addEventListener("loadeddata", () => {
      this.source = video
      this.seek.max = video.duration
      this.play.hidden = this.seek.hidden = false
      this.draw()
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.pause()
      else this.go()
      this.follow(video)
    })
    video.addEventListener("seeked", () => this.draw())
    video.src = address
    this.loading = video
  }

  follow(video) {
    const step = () => {
      if (this.source !== video) return
      this.draw()
      if (document.activeElement !== this.seek) this.seek.value = video.currentTime
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(step)
      else requestAnimationFrame(step)
    }
    step()
  }

  toggle() { if (this.source?.paused) this.go(); else this.pause() }

  go() {
    this.source.play().catch(() => this.pause())
    this.play.textContent = "Pause"
  }

  pause() {
    this.source.pause()
    this.play.textContent = "Play"
  }

  stop() {
    if (this.source?.pause) this.source.pause()
    this.loading?.removeAttribute("src")
    this.source = null
    this.address = ""
    this.root.classList.add("blank")
    this.play.hidden = this.seek.hidden = true
  }

  draw() {
    const source = this.source
    const width = source?.videoWidth || source?.naturalWidth
    if (!width) return
    this.root.classList.remove("blank")
    const height = (source.videoHeight || source.naturalHeight) / 2
    const { canvas } = this
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height }
    const [w, h] = [width / this.zoom, height / this.zoom]
    const clamp = (value, half) => Math.min(1 - half, Math.max(half, value))
    this.center = this.center.map(value => clamp(value, 0.5 / this.zoom))
    const [x, y] = [this.center[0] * width - w / 2, this.center[1] * height - h / 2]
    const context = canvas.getContext("2d")
    context.imageSmoothingEnabled = this.zoom < 4
    const cut = Math.round(this.cut * width)
    const part = w * (cut / width)
    if (cut > 0) context.drawImage(source, x, y, part, h, 0, 0, cut, height)
    if (cut < width) context.drawImage(source, x + part, height + y, w - part, h, cut, 0, width - cut, height)
    context.fillStyle = "#fff"
    context.fillRect(cut - width / 640, 0, width / 320, height)
  }
}
