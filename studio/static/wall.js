// The wall: new garments, those that please locked, the rest redone.

import { ask, attempt } from "./api.js";
import { keep } from "./keeping.js";
import { canvasOf, card, download, pictureUrl, tool, unpack, walkByArrows } from "./pictures.js";

const $ = (id) => document.getElementById(id);

export function fillCategories(select, categories, any) {
  select.replaceChildren();
  if (any) select.append(new Option(any, ""));
  for (const category of categories) select.append(new Option(category, category));
}

export function openWall(studio, go) {
  const grid = $("wall-grid");
  let garments = [];
  fillCategories($("wall-category"), studio.categories, "all");
  $("wall-seed").value = Math.floor(Math.random() * 100_000);
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
    const count = Number($("wall-count").value);
    const locked = garments.filter((garment) => garment.locked).slice(0, count);
    const missing = count - locked.length;
    const fresh = missing === 0 ? [] : unpack(await ask("POST", "api/wall", {
      category: $("wall-category").value || null,
      count: missing,
      seed: Number($("wall-seed").value),
      truncation: Number($("wall-truncation").value),
    }));
    // What is locked stays where it hangs.
    const next = [];
    for (let place = 0; place < count; place++) {
      const old = garments[place];
      next.push(old?.locked && locked.includes(old) ? old : fresh.shift() ?? locked.find((one) => !next.includes(one)));
    }
    garments = next;
    garments.forEach((garment, n) => { garment.label = `${garment.category} ${n + 1}`; garment.locked ??= false; });
    draw();
  });

  $("wall-controls").addEventListener("submit", (event) => {
    event.preventDefault();
    if (garments.length) $("wall-seed").value = (Number($("wall-seed").value) + 1) % 4294967296;
    redo();
  });
  for (const id of ["wall-category", "wall-count", "wall-seed"]) $(id).addEventListener("change", redo);
  $("wall-truncation").addEventListener("input", () => {
    $("wall-truncation-shown").value = Number($("wall-truncation").value).toFixed(2);
  });
  $("wall-truncation").addEventListener("change", redo);
  $("wall-sheet").addEventListener("click", () => attempt(async () => {
    download(await ask("POST", "api/sheet", { addresses: garments.map((garment) => garment.address) }), "wall.png");
  }));

  return async () => { if (!garments.length) await redo(); };
}
