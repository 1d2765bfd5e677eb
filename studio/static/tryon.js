// Try on: a garment on a mannequin or on a photographed person, whose anchors can be dragged.

import { attempt, notify, request, watch } from "./api.js";
import { keep } from "./dialogs.js";
import { drop, hold, newName } from "./kept.js";
import { upload } from "./photograph.js";
import { download } from "./pictures.js";

const $ = (id) => document.getElementById(id);
const STEP_PX = 2;
const KIND_OF = [[/dress|gown/, "dress"], [/skirt/, "skirt"], [/short/, "shorts"], [/pant|trouser|jean/, "trousers"], [/coat|outwear|jacket/, "outerwear"]];

// The kind of garment that a category's name suggests.
function kindOf(category) {
  return KIND_OF.find(([pattern, kind]) => kind !== "shorts" ? pattern.test(category) : /^shorts?$/.test(category))?.[1] ?? "top";
}

export function openTryOn(studio) {
  let offered = null;
  let person = null; // the studio's answer, with its anchors
  let moved = {}; // anchors that were dragged
  let garment = null;
  let chosenFile = 0; // photographs chosen; an answer about any but the latest is dropped
  let worn = []; // garments below the chosen one
  let job = null;
  let measuresBefore = null; // those of the profile

  const picture = $("tryon-picture");
  const show = (url) => { picture.src = url; };

  const place = (button, [x, y]) => {
    button.style.left = `${100 * x / person.width}%`;
    button.style.top = `${100 * y / person.height}%`;
  };
  const move = (name, button, x, y) => {
    moved[name] = [Math.min(Math.max(x, 0), person.width), Math.min(Math.max(y, 0), person.height)];
    place(button, moved[name]);
  };
  const anchorButton = (name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "anchor";
    button.title = name.replace("_", " ");
    button.setAttribute("aria-label", `Anchor: ${button.title}`);
    place(button, person.anchors[name]);
    button.addEventListener("pointerdown", (event) => { button.setPointerCapture(event.pointerId); event.preventDefault(); button.focus(); });
    button.addEventListener("pointermove", (event) => {
      if (!button.hasPointerCapture(event.pointerId)) return;
      const box = picture.getBoundingClientRect();
      move(name, button, (event.clientX - box.left) / box.width * person.width, (event.clientY - box.top) / box.height * person.height);
    });
    button.addEventListener("pointerup", () => { if (name in moved) wear(); });
    button.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-STEP_PX, 0], ArrowRight: [STEP_PX, 0], ArrowUp: [0, -STEP_PX], ArrowDown: [0, STEP_PX] }[event.key];
      if (!step) return;
      event.preventDefault();
      const [x, y] = moved[name] ?? person.anchors[name];
      move(name, button, x + step[0], y + step[1]);
    });
    button.addEventListener("keyup", (event) => { if (event.key.startsWith("Arrow")) wear(); });
    return button;
  };

  const pathOf = (answer) => `api/tryon/persons/${answer.person}`;
  const garmentPath = (name) => `api/tryon/garments/${name}`;
  const shown = async (answer, hint) => {
    await forget();
    person = answer;
    moved = {};
    show(hold(pathOf(person)));
    $("tryon-anchors").replaceChildren(...Object.keys(person.anchors).map(anchorButton));
    if (!person.found) moved = { ...person.anchors };
    $("tryon-hint").textContent = hint;
    $("tryon-keep").hidden = $("tryon-download").hidden = true;
    $("tryon-state").textContent = "";
    if (garment && person.found) await wear();
  };
  const forget = async () => {
    const before = person;
    person = null;
    if (before) await drop(pathOf(before));
    $("tryon-forget").hidden = true;
  };

  const mannequin = () => attempt(async () => {
    const fields = new FormData($("tryon-measures"));
    const measures = Object.fromEntries([...fields].map(([name, value]) => [name, Number(value)]));
    await shown(await request("POST", "api/tryon/mannequins", measures), "A mannequin to these measures.");
  });

  // One try-on at a time; a later wish replaces an earlier one.
  let wanted = false;
  let busy = false;
  const wear = async () => {
    if (!person || !garment) { notify(person ? "Choose a garment first." : "Choose a person first."); return; }
    wanted = true;
    if (busy) return;
    busy = true;
    try {
      while (wanted) {
        wanted = false;
        await attempt(wearOnce);
      }
    } finally {
      busy = false;
    }
  };
  const wearOnce = async () => {
    $("tryon-state").textContent = "Trying on…";
    try {
      job = await request("POST", "api/tryon", { person: person.person, garments: [...worn, chosen()], anchors: moved });
      await watch(job, () => {});
      show(`api/jobs/${job.id}/picture?side=${Math.min(Math.max(person.width, person.height, 16), 1024)}`);
      $("tryon-state").textContent = "Made by AI. How it looks, not whether it fits.";
      $("tryon-keep").hidden = $("tryon-download").hidden = false;
    } catch (error) {
      $("tryon-state").textContent = error.message;
    }
  };
  const chosen = () => ({ garment, kind: $("tryon-kind").value, fit: $("tryon-fit").value });

  const take = (answer) => {
    const before = garment;
    garment = answer.garment;
    if (before && !worn.some((one) => one.garment === before)) drop(garmentPath(before));
    $("tryon-garment").src = hold(garmentPath(garment));
    $("tryon-garment").hidden = false;
    return person ? wear() : undefined;
  };

  $("tryon-measures").addEventListener("submit", (event) => { event.preventDefault(); mannequin(); });
  $("tryon-person-file").addEventListener("change", (event) => attempt(async () => {
    if (!event.target.files.length) return;
    notify("Looking for the person…");
    const number = ++chosenFile;
    const sent = await upload(event.target.files[0], studio.max_upload_bytes);
    const name = newName("api/tryon/persons");
    try {
      const answer = await request("POST", "api/tryon/persons", { upload: sent.upload, name });
      if (number !== chosenFile) { await drop(pathOf(answer)); return; }
      await shown(answer, answer.found
        ? "The photograph stays on this machine, in memory, until you close this tab."
        : "Drag the eight anchors to the shoulders, wrists, hips and ankles, then press “Try it on”.");
      $("tryon-forget").hidden = false;
    } catch (error) {
      await drop(`api/tryon/persons/${name}`);
      throw error;
    } finally {
      await drop(sent.path);
    }
  }));
  $("tryon-garment-file").addEventListener("change", (event) => attempt(async () => {
    if (!event.target.files.length) return;
    notify("Cutting the garment out…");
    const sent = await upload(event.target.files[0], studio.max_upload_bytes);
    const name = newName("api/tryon/garments");
    try {
      await take(await request("POST", "api/tryon/garments", { upload: sent.upload, name }));
    } catch (error) {
      await drop(garmentPath(name));
      throw error;
    } finally {
      await drop(sent.path);
    }
  }));
  for (const id of ["tryon-kind", "tryon-fit"]) $(id).addEventListener("change", () => { if (garment) wear(); });
  $("tryon-go").addEventListener("click", wear);
  $("tryon-over").addEventListener("click", () => {
    if (!garment || worn.length === 3) { notify(garment ? "Four garments are the most." : "Choose a garment first."); return; }
    worn.push(chosen());
    $("tryon-worn").textContent = `Below: ${worn.map((one) => one.kind).join(", ")}. Choose the garment to wear over it.`;
  });
  $("tryon-bare").addEventListener("click", () => {
    for (const name of new Set([...worn.map((one) => one.garment), garment])) if (name) drop(garmentPath(name));
    worn = [];
    garment = null;
    $("tryon-worn").textContent = "";
    $("tryon-garment").hidden = $("tryon-keep").hidden = $("tryon-download").hidden = true;
    if (person) show(pathOf(person));
  });
  $("tryon-keep").addEventListener("click", () => keep({ job: job.id }, $("tryon-kind").value));
  $("tryon-download").addEventListener("click", () => download(`api/jobs/${job.id}/picture?side=1024`, "worn.png"));
  $("tryon-forget").addEventListener("click", () => attempt(async () => {
    await forget();
    await mannequin();
    notify("The photograph is gone.");
  }));
  $("tryon-show-anchors").addEventListener("change", () => { $("tryon-anchors").hidden = !$("tryon-show-anchors").checked; });

  return async (address) => {
    if (!offered) {
      offered = await request("GET", "api/tryon");
      $("tryon-kind").append(...offered.kinds.map((kind) => new Option(kind, kind)));
      $("tryon-fit").append(...offered.fits.map((fit) => new Option(fit, fit, fit === "regular", fit === "regular")));
      if (!offered.finds_people) {
        $("tryon-hint").textContent = "The networks that find people are not installed (python -m pipeline tryon --fetch-models); you will set eight anchors by hand.";
      }
    }
    const { mannequin: measures } = await request("GET", "api/profile");
    const isMannequin = $("tryon-forget").hidden;
    if (!person || (isMannequin && JSON.stringify(measures) !== JSON.stringify(measuresBefore))) {
      for (const [name, value] of Object.entries(measures ?? {})) $("tryon-measures").elements[name].value = value;
      await mannequin();
    }
    measuresBefore = measures;
    if (address) {
      const grid = await request("POST", "api/pictures", { addresses: [address] });
      $("tryon-kind").value = kindOf(grid.categories[0]);
      await take(await request("POST", "api/tryon/garments", { address }));
    }
  };
}
