// Photograph: the nearest garment that the model can draw.

import { attempt, notify, request, watch } from "./api.js";
import { fillCategories } from "./generate.js";
import { drop, newName } from "./kept.js";

const $ = (id) => document.getElementById(id);

// The studio's answer, with the `path` at which it keeps the picture until that is dropped or the page closes.
export async function upload(file, limitBytes) {
  if (file.size > limitBytes) throw new Error(`This file is larger than ${limitBytes >> 20} MB; choose a smaller one.`);
  const name = newName("api/uploads");
  const path = `api/uploads/${name}`;
  try {
    return { ...await request("POST", `api/uploads?name=${name}`, file), path };
  } catch (error) {
    await drop(path);
    throw error;
  }
}

export function openPhotograph(studio, go) {
  let nearest = null;
  let seenAs = null;
  let original = null; // path of the photograph
  fillCategories($("photo-category"), studio.categories, "the nearest");

  const shown = (job) => {
    $("photo-progress").value = job.share;
    if (!job.has_picture) return;
    const { result } = job;
    if (seenAs !== result.seen_as) {
      seenAs = result.seen_as;
      const bytes = Uint8Array.from(atob(seenAs), (letter) => letter.charCodeAt(0));
      URL.revokeObjectURL($("photo-seen").src);
      $("photo-seen").src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
    }
    $("photo-nearest").src = `api/jobs/${job.id}/picture?side=512&at=${job.share}`;
    $("photo-distance").textContent =
      `Nearest: ${result.category}. ${result.distance.toFixed(1)} grey levels apart on average; an empty frame would be ${result.distance_of_backdrop.toFixed(1)}.`;
    nearest = result.address;
  };

  $("photo-controls").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      notify("Reading the photograph…");
      const sent = await upload($("photo-file").files[0], studio.max_upload_bytes);
      drop(original);
      original = sent.path;
      $("photo-original").src = original;
      $("photo-result").hidden = false;
      $("photo-progress").hidden = false;
      const turned = $("photo-negative").value;
      const job = await request("POST", "api/projections", {
        upload: sent.upload,
        category: $("photo-category").value || null,
        negative: turned === "" ? null : turned === "true",
      });
      try {
        await watch(job, shown);
      } finally {
        $("photo-progress").hidden = true;
      }
      $("photo-edit").hidden = false;
    });
  });
  $("photo-edit").addEventListener("click", () => go("edit", nearest));
  return async () => {};
}
