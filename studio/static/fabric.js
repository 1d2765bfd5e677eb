// Fabric: a garment dressed in a pattern or a picture.

import { attempt, notify, request, watch } from "./api.js";
import { keep } from "./dialogs.js";
import { drop } from "./kept.js";
import { upload } from "./photograph.js";
import { download, paint, unpack } from "./pictures.js";

const $ = (id) => document.getElementById(id);
const MODES = {
  print: "Printed, with the garment's folds",
  statistics: "Matched in colour and texture",
  whiten: "Colours and texture transferred by a network",
  paint: "Painted, step by step",
};

function choice(kind, name, value, text, checked) {
  const label = document.createElement("label");
  label.className = "check";
  const input = document.createElement("input");
  Object.assign(input, { type: kind, name, value, checked });
  label.append(input, ` ${text}`);
  return label;
}

export function openFabric(studio) {
  let content = null; // {address} or {upload}
  let style = { pattern: studio.patterns[0] };
  const uploads = { content: null, style: null }; // paths
  const replace = (kind, path) => { drop(uploads[kind]); uploads[kind] = path; };
  let job = null;

  $("fabric-patterns").append(...studio.patterns.map((name, n) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "pattern", value: name, checked: n === 0 });
    input.addEventListener("change", () => { style = { pattern: name }; replace("style", null); atOnce(); });
    const image = document.createElement("img");
    Object.assign(image, { src: `api/patterns/${encodeURIComponent(name)}`, alt: "", loading: "lazy" });
    label.append(input, image, name);
    return label;
  }));
  for (const [mode, text] of Object.entries(MODES)) {
    if (mode === "whiten" && !studio.whitens) continue;
    const label = choice("radio", "mode", mode, text, mode === "print");
    label.firstChild.addEventListener("change", () => { $("fabric-painting").hidden = mode !== "paint"; atOnce(); });
    $("fabric-modes").append(label);
  }
  for (const name of Object.keys(studio.networks)) $("fabric-network").append(new Option(name, name));
  const fillLayers = () => {
    const boxes = studio.networks[$("fabric-network").value].map((layer) => choice("checkbox", "layer", layer, layer, true));
    $("fabric-layers").replaceChildren($("fabric-layers").querySelector("legend"), ...boxes);
  };
  fillLayers();
  $("fabric-network").addEventListener("change", fillLayers);

  const chosenMode = () => document.querySelector('input[name="mode"]:checked').value;
  const power = (id) => 10 ** Number($(id).value);
  for (const id of ["fabric-alpha", "fabric-beta"]) {
    $(id).addEventListener("input", () => { $(`${id}-shown`).value = power(id).toPrecision(2); });
  }
  $("fabric-strength").addEventListener("input", () => { $("fabric-strength-shown").value = `${$("fabric-strength").value} %`; });

  const wish = () => ({
    ...content,
    ...style,
    mode: chosenMode(),
    garment_only: $("fabric-garment-only").checked,
    strength: Number($("fabric-strength").value) / 100,
    network: $("fabric-network").value,
    content_weight: power("fabric-alpha"),
    style_weight: power("fabric-beta"),
    layers: [...document.querySelectorAll('input[name="layer"]:checked')].map((box) => box.value),
    steps: Number($("fabric-steps").value),
  });

  const shown = (now) => {
    $("fabric-progress").value = now.share;
    $("fabric-state").textContent = now.state === "waiting" ? "Waiting for another job…" : now.state === "running" ? `${Math.round(100 * now.share)} %` : "After";
    if (!now.has_picture) return;
    $("fabric-result").src = `api/jobs/${now.id}/picture?side=512&at=${now.share}`;
    $("fabric-result").hidden = false;
  };

  const dress = () => attempt(async () => {
    if (!content) { notify("Choose a garment under Generate first, or upload a photograph."); return; }
    if (job) await request("DELETE", `api/jobs/${job.id}`).catch(() => {});
    const mine = job = await request("POST", "api/styles", wish());
    $("fabric-progress").hidden = $("fabric-cancel").hidden = false;
    $("fabric-keep").hidden = $("fabric-download").hidden = true;
    try {
      const done = await watch(mine, (now) => { if (job === mine) shown(now); });
      if (job === mine) $("fabric-keep").hidden = $("fabric-download").hidden = done.state !== "done";
    } finally {
      if (job === mine) $("fabric-progress").hidden = $("fabric-cancel").hidden = true;
    }
  });
  // The instant modes follow every change.
  const atOnce = () => { if (content && ["print", "statistics"].includes(chosenMode())) dress(); };
  for (const id of ["fabric-garment-only", "fabric-strength"]) $(id).addEventListener("change", atOnce);

  $("fabric-go").addEventListener("click", dress);
  $("fabric-cancel").addEventListener("click", () => attempt(() => request("DELETE", `api/jobs/${job.id}`)));
  $("fabric-keep").addEventListener("click", () => keep({ job: job.id }, style.pattern ?? "dressed"));
  $("fabric-download").addEventListener("click", () => download(`api/jobs/${job.id}/picture?side=1024`, "dressed.png"));
  $("fabric-style-file").addEventListener("change", (event) => attempt(async () => {
    if (!event.target.files.length) return;
    const sent = await upload(event.target.files[0], studio.max_upload_bytes);
    style = { style_upload: sent.upload };
    replace("style", sent.path);
    const checked = document.querySelector('input[name="pattern"]:checked');
    if (checked) checked.checked = false;
    notify("The picture is now the style.");
    atOnce();
  }));
  $("fabric-content-file").addEventListener("change", (event) => attempt(async () => {
    if (!event.target.files.length) return;
    const sent = await upload(event.target.files[0], studio.max_upload_bytes);
    content = { upload: sent.upload };
    replace("content", sent.path);
    const image = new Image();
    image.src = sent.path;
    await image.decode();
    const canvas = $("fabric-content");
    Object.assign(canvas, { width: sent.width, height: sent.height, picture: null });
    canvas.getContext("2d").drawImage(image, 0, 0);
    atOnce();
  }));

  return async (address) => {
    let wanted = address;
    if (!wanted && !content) wanted = (await request("POST", "api/grid", { count: 1, seed: 7, category: studio.categories.find((one) => /dress|shirt|coat|top/.test(one)) ?? studio.categories[0] })).addresses[0];
    if (!wanted || wanted === content?.address) return;
    content = { address: wanted };
    replace("content", null);
    paint($("fabric-content"), unpack(await request("POST", "api/pictures", { addresses: [wanted] }))[0]);
    atOnce();
  };
}
