// What the studio keeps in memory for this page: renewed while the page is open, removed when it closes.

import { request } from "./api.js";

const RENEW_MS = 60_000;
const kept = new Set(); // paths, which end in unguessable names

// Notes that the page uses what is at `path`.
export function hold(path) {
  kept.add(path);
  return path;
}

// Removes what is at `path`, also if it is still on its way to the studio.
export async function drop(path) {
  if (path && kept.delete(path)) await request("DELETE", path).catch(() => {});
}

// A name for what the page is about to send to `folder`, so that it can be removed before the studio answers.
export function newName(folder) {
  const name = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(9)))).replaceAll("+", "-").replaceAll("/", "_");
  hold(`${folder}/${name}`);
  return name;
}

setInterval(() => {
  if (kept.size) request("POST", "api/kept", { names: [...kept].map((path) => path.split("/").at(-1)).slice(-256) }).catch(() => {});
}, RENEW_MS);
addEventListener("pagehide", () => {
  for (const path of kept) fetch(path, { method: "DELETE", keepalive: true });
});
