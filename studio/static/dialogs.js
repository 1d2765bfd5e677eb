// The dialogs that put a garment into a collection and that request for a name.

import { attempt, notify, request } from "./api.js";

const $ = (id) => document.getElementById(id);
let wanted = null;

export async function keep(what, name) {
  await attempt(async () => {
    const collections = await request("GET", "api/collections");
    const select = $("keep-collection");
    select.replaceChildren(...collections.map((one) => new Option(one.name, one.id)), new Option("New collection", ""));
    $("keep-new-label").hidden = collections.length > 0;
    $("keep-name").value = name;
    wanted = what;
    $("keep-dialog").showModal();
  });
}

$("keep-collection").addEventListener("change", () => { $("keep-new-label").hidden = $("keep-collection").value !== ""; });
$("keep-cancel").addEventListener("click", () => $("keep-dialog").close());
$("keep-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    let collection = $("keep-collection").value;
    if (!collection) collection = (await request("POST", "api/collections", { name: $("keep-new").value.trim() || "Untitled" })).id;
    await request("POST", `api/collections/${collection}/pieces`, { ...wanted, name: $("keep-name").value });
    $("keep-dialog").close();
    notify("Saved to the collection.");
  });
});

// Resolves to the name that was entered, or to null on cancel.
export function askName(title, current, mayBeEmpty, longest = 80) {
  $("name-input").maxLength = longest;
  $("name-title").textContent = title;
  $("name-input").value = current;
  $("name-input").required = !mayBeEmpty;
  $("name-dialog").showModal();
  return new Promise((answer) => {
    const done = (name) => { $("name-dialog").close(); answer(name); };
    $("name-form").onsubmit = (event) => { event.preventDefault(); done($("name-input").value.trim()); };
    $("name-cancel").onclick = () => done(null);
    $("name-dialog").oncancel = () => answer(null);
  });
}
