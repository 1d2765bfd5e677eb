// Edit: sliders along latent directions, category mixing, and steps between two garments.

import { attempt, notify, request } from "./api.js";
import { askedAttributes, fillAttributes, showAttributes } from "./attributes.js";
import { askName, keep } from "./dialogs.js";
import { canvasOf, download, paint, pictureUrl, unpack } from "./pictures.js";
import { fillCategories } from "./generate.js";
import { effectsOf, resetSliders, sliderRow } from "./sliders.js";
import { openWords } from "./words.js";

const $ = (id) => document.getElementById(id);
const MAX_PENDING = 2;

export function openEdit(studio, go) {
  let base = null; // what the sliders start from
  let shown = null;
  let held = null;
  let amounts = {};
  let history = [];
  let pending = 0; // requests without a response yet
  let again = false;
  let sent = 0;
  let newest = 0; // number of the latest request shown; responses to earlier ones are dropped
  let directionsOf = null; // category whose sliders are shown
  let directionsWanted = null; // and whose were asked for last

  const asked = $("edit-attributes");
  $("edit-asked").hidden = !Object.keys(studio.attributes).length;
  fillAttributes(asked, studio.attributes, () => move());
  fillCategories($("mix-category"), studio.categories, "nothing");
  if (!studio.mixes_categories) $("mix-share").step = "100";

  const words = openWords(studio, () => base, () => move());

  const show = (picture) => {
    shown = picture;
    paint($("edit-canvas"), picture);
    $("edit-canvas").setAttribute("aria-label", `The ${picture.category}`);
    $("edit-caption").textContent = picture.category;
  };

  const mix = () => {
    const other = $("mix-category").value;
    const share = Number($("mix-share").value) / 100;
    return other && share > 0 ? { [base.category]: 1 - share, [other]: share } : null;
  };

  // At most MAX_PENDING requests at once; after that only the latest slider positions are sent.
  const move = async () => {
    if (pending === MAX_PENDING) { again = true; return; }
    pending += 1;
    const number = ++sent;
    const answer = await attempt(() => request("POST", "api/move", {
      address: base.address, amounts: { ...amounts }, attributes: askedAttributes(asked), mix: mix(), words: words.moved(),
    }));
    pending -= 1;
    if (answer && number > newest) {
      newest = number;
      show(unpack(answer)[0]);
    }
    if (again) {
      again = false;
      move();
    }
  };

  const slider = (direction, category) => {
    const rename = document.createElement("button");
    rename.type = "button";
    rename.textContent = "Name";
    rename.setAttribute("aria-label", `Name the direction ${direction.title}`);
    rename.addEventListener("click", () => attempt(async () => {
      const name = await askName("Name this direction", direction.named ? direction.title : "", true, 40);
      if (name === null) return;
      await request("PUT", `api/directions/${direction.id}?category=${encodeURIComponent(category)}`, { name });
      if (directionsOf !== category) return; // a garment of another one was opened meanwhile
      directionsOf = null;
      await fillSliders(category);
    }));
    return sliderRow(direction, rename, effectsOf(direction, studio.measures), (amount) => {
      if (amount === 0) delete amounts[direction.id];
      else amounts[direction.id] = amount;
      move();
    }, amounts[direction.id] ?? 0);
  };

  const fillSliders = async (category) => {
    directionsWanted = category;
    if (directionsOf === category) return;
    directionsOf = null;
    $("sliders-measured").textContent = "Measuring what can be changed…";
    $("sliders-found").replaceChildren();
    const found = await request("GET", `api/directions?category=${encodeURIComponent(category)}`);
    if (directionsWanted !== category || directionsOf) return;
    directionsOf = category;
    const named = found.filter((one) => ["measured", "classified"].includes(one.kind) || one.named);
    $("sliders-measured").replaceChildren(...named.map((one) => slider(one, category)));
    $("sliders-found").replaceChildren(...found.filter((one) => !named.includes(one)).map((one) => slider(one, category)));
  };

  const atRest = () => {
    amounts = {};
    showAttributes(asked, studio.attributes, base.address);
    $("mix-category").value = "";
    $("mix-share").value = 0;
    $("mix-shown").value = "0 %";
    words.clear();
    resetSliders($("section-edit"));
  };

  const start = (picture) => {
    base = picture;
    newest = sent;
    again = false;
    atRest();
    show(picture);
    paint($("edit-before"), picture);
    $("edit-empty").hidden = true;
    $("edit-bench").hidden = false;
    way();
    attempt(() => fillSliders(picture.category));
  };

  const way = async () => {
    const apart = held && held.address !== shown.address;
    $("between-hint").textContent = held
      ? (apart ? "From the held garment to this one. Choose a step to continue from it." : "Held. Now choose another garment under Generate.")
      : "Hold this garment, choose another one, and see the steps between them.";
    $("between-strip").replaceChildren();
    $("styles").hidden = !apart || studio.style_layers < 2;
    if (!apart) return;
    const ends = [held.address, shown.address];
    const steps = await attempt(() => request("POST", "api/interpolation", { first: ends[0], second: ends[1], count: 9 }));
    if (steps) fillStrip($("between-strip"), "Step", steps);
    if ($("styles").hidden) return;
    const mixed = await attempt(() => request("POST", "api/style-mix", { coarse: ends[0], fine: ends[1] }));
    if (mixed) fillStrip($("styles-strip"), "Style layers of the held garment:", mixed);
  };

  const fillStrip = (strip, what, grid) => {
    strip.replaceChildren(...unpack(grid).map((step, n, all) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-label", `${what} ${n + 1} of ${all.length}`);
      button.append(canvasOf(step));
      button.addEventListener("click", () => { history.push(base); go("edit", step.address); });
      return button;
    }));
  };

  for (const id of ["mix-category", "mix-share"]) $(id).addEventListener("input", () => {
    if (id === "mix-category") $("mix-share").value = $("mix-category").value ? 50 : 0;
    $("mix-shown").value = `${$("mix-share").value} %`;
    move();
  });
  $("between-hold").addEventListener("click", () => { held = shown; way(); });
  $("edit-undo").addEventListener("click", () => {
    if (shown.address !== base.address) start(base);
    else if (history.length) go("edit", history.pop().address);
    else notify("Nothing to undo.");
  });
  $("edit-keep").addEventListener("click", () => keep({ address: shown.address }, shown.category));
  $("edit-download").addEventListener("click", () => download(pictureUrl(shown.address, 1024), `${shown.category}.png`));
  $("edit-copy").addEventListener("click", () => attempt(async () => {
    await navigator.clipboard.writeText(`${location.origin}${location.pathname}#edit/${shown.address}`);
    notify("Copied. This link opens exactly this garment.");
  }));
  $("edit-fabric").addEventListener("click", () => go("fabric", shown.address));
  $("edit-tryon").addEventListener("click", () => go("tryon", shown.address));

  return async (address) => {
    if (!address || address === base?.address) return;
    start(unpack(await request("POST", "api/pictures", { addresses: [address] }))[0]);
  };
}
