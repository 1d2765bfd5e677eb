// Generate: a grid of new garments; locked ones stay when the others are replaced.

import { attempt, request } from "./api.js";
import { askedAttributes, fillAttributes } from "./attributes.js";
import { keep } from "./dialogs.js";
import { canvasOf, card, download, pictureUrl, tool, unpack, walkByArrows } from "./pictures.js";

const $ = (id) => document.getElementById(id);

export function fillCategories(select, categories, any) {
  select.replaceChildren();
  if (any) select.append(new Option(any, ""));
  for (const category of categories) select.append(new Option(category, category));
}

export function openGenerate(studio, go) {
  const grid = $("generate-grid");
  let garments = [];
  fillCategories($("generate-category"), studio.categories, "all");
  $("generate-seed").value = Math.floor(Math.random() * 100_000);
  walkByArrows(grid);

  const draw = () => {
    grid.replaceChildren(...garments.map((garment) => {
      const lock = tool("lock", `Lock ${garment.label}`, () => {
        garment.locked = !garment.locked;
        lock.setAttribute("aria-pressed", String(garment.locked));
        figure.classList.toggle("locked", garment.locked);
      }, garment.locked);
      const tools = [
        lock,
        tool("keep", `Keep ${garment.label}`, () => keep({ address: garment.address }, garment.category)),
        tool("save", `Download ${garment.label}`, () => download(pictureUrl(garment.address, 512), `${garment.category}.png`)),
      ];
      const pick = () => go("edit", garment.address);
      const figure = card(canvasOf(garment), `Edit ${garment.label}`, garment.category, pick, tools);
      figure.classList.toggle("locked", garment.locked);
      return figure;
    }));
  };

  const redo = () => attempt(async () => {
    const count = Number($("generate-count").value);
    const locked = garments.filter((garment) => garment.locked).slice(0, count);
    const missing = count - locked.length;
    const fresh = missing === 0 ? [] : unpack(await request("POST", "api/grid", {
      category: $("generate-category").value || null,
      attributes: askedAttributes($("generate-attributes")),
      text: $("generate-text").value || null,
      strength: Number($("generate-strength").value),
      count: missing,
      seed: Number($("generate-seed").value),
      truncation: Number($("generate-truncation").value),
    }));
    // Locked garments keep their places.
    const next = [];
    for (let place = 0; place < count; place++) {
      const old = garments[place];
      next.push(old?.locked && locked.includes(old) ? old : fresh.shift() ?? locked.find((one) => !next.includes(one)));
    }
    garments = next;
    garments.forEach((garment, n) => { garment.label = `${garment.category} ${n + 1}`; garment.locked ??= false; });
    draw();
  });

  fillAttributes($("generate-attributes"), studio.attributes, redo);
  $("generate-controls").addEventListener("submit", (event) => {
    event.preventDefault();
    if (garments.length) $("generate-seed").value = (Number($("generate-seed").value) + 1) % 4294967296;
    redo();
  });
  $("generate-text-controls").hidden = !studio.takes_text;
  $("generate-strength").addEventListener("input", () => {
    $("generate-strength-shown").value = Number($("generate-strength").value).toFixed(1);
  });
  for (const id of ["generate-category", "generate-count", "generate-seed", "generate-text", "generate-strength"]) $(id).addEventListener("change", redo);
  $("generate-truncation").addEventListener("input", () => {
    $("generate-truncation-shown").value = Number($("generate-truncation").value).toFixed(2);
  });
  $("generate-truncation").addEventListener("change", redo);
  $("generate-sheet").addEventListener("click", () => attempt(async () => {
    download(await request("POST", "api/sheet", { addresses: garments.map((garment) => garment.address) }), "garments.png");
  }));

  return async () => { if (!garments.length) await redo(); };
}
