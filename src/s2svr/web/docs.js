// The page of calls, made from /openapi.json.

import { call, element } from "/assets/calls.js"

const at = id => document.getElementById(id)

function examples() {
  const base = location.origin
  at("curl").textContent = `job=$(curl -s -F file=@in.mp4 -F task=sr -F run=true ${base}/api/jobs | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
until curl -s ${base}/api/jobs/$job | grep -q '"state":"done"'; do sleep 5; done
curl -s -o out.mp4 ${base}/api/jobs/$job/result`
  at("python").textContent = `import time
import httpx

with httpx.Client(base_url="${base}", timeout=300) as server, open("in.mp4", "rb") as video:
    job = server.post("/api/jobs", files={"file": video}, data={"task": "sr", "run": "true"}).json()
    while (job := server.get(f"/api/jobs/{job['id']}").json())["state"] in ("waiting", "running"):
        time.sleep(5)
    with open("out.mp4", "wb") as result:
        result.write(server.get(f"/api/jobs/{job['id']}/result").content)`
  at("token").textContent = "A server with --host wants its token with each call: "
    + "-H 'Authorization: Bearer TOKEN', or headers={\"Authorization\": \"Bearer TOKEN\"}."
}

function curl(method, path, operation) {
  const body = operation.requestBody?.content ?? {}
  const words = ["curl", "-s"]
  if (method !== "get") words.push("-X", method.toUpperCase())
  if (body["application/json"]) words.push("-H 'content-type: application/json'", "-d '{}'")
  if (body["multipart/form-data"]) words.push("-F file=@in.mp4")
  words.push(`'${location.origin}${path}'`)
  return words.join(" ")
}

function python(method, path, operation) {
  const body = operation.requestBody?.content ?? {}
  const more = body["application/json"] ? ", json={}" : body["multipart/form-data"] ? ', files={"file": open("in.mp4", "rb")}' : ""
  return `httpx.${method}("${location.origin}${path}"${more})`
}

function fields(schema, all) {
  const named = schema?.$ref ? all[schema.$ref.split("/").pop()] : schema
  return Object.entries(named?.properties ?? {}).map(([name, value]) => {
    const text = [value.description, value.default === undefined ? "" : `(${JSON.stringify(value.default)})`]
    return element("li", {}, element("code", { textContent: name }), " ", text.filter(Boolean).join(" "))
  })
}

function section(method, path, operation, all) {
  const title = element("h3", {}, element("code", { textContent: `${method.toUpperCase()} ${path}` }))
  const made = element("article", { className: "job" }, title)
  made.append(element("p", { textContent: operation.description ?? operation.summary }))
  const asked = (operation.parameters ?? []).filter(p => p.in === "query")
    .map(p => element("li", {}, element("code", { textContent: p.name }), ` ${p.description ?? ""}`))
  for (const content of Object.values(operation.requestBody?.content ?? {})) asked.push(...fields(content.schema, all))
  if (asked.length) made.append(element("p", { textContent: "Takes:" }), element("ul", {}, ...asked))
  const statuses = Object.entries(operation.responses).map(([status, { description }]) => `${status} ${description}`)
  made.append(element("p", { className: "hint", textContent: `Answers: ${statuses.join("; ")}` }))
  for (const text of [curl(method, path, operation), python(method, path, operation)]) {
    made.append(element("pre", { textContent: text, tabIndex: 0 }))
  }
  return made
}

async function begin() {
  examples()
  const api = await call("GET", "/openapi.json")
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      at("calls").append(section(method, path, operation, api.components.schemas))
    }
  }
}

begin().catch(error => { at("calls").textContent = error.message })
