// What is behind garments with alpha: the page itself, a colour, a checkerboard or a texture of one's own. Downloads keep the alpha.

const $ = (id) => document.getElementById(id);
const CHECKERBOARD = "repeating-conic-gradient(#c9c9c9 0 25%, #f4f4f4 0 50%) 0 0 / 16px 16px";

let texture = null; // the URL of a picture in this browser; it is sent nowhere

function backgroundOf(choice) {
  switch (choice) {
    case "checkerboard": return CHECKERBOARD;
    case "colour": return $("ground-colour").value;
    case "texture": return texture ? `center / cover url("${texture}")` : "";
    default: return choice; // a named colour, or nothing for the page's own
  }
}

function show() {
  const choice = $("ground").value;
  localStorage.setItem("ground", choice);
  localStorage.setItem("ground-colour", $("ground-colour").value);
  $("ground-colour-label").hidden = choice !== "colour";
  $("ground-texture-label").hidden = choice !== "texture";
  const background = backgroundOf(choice);
  if (background) document.documentElement.style.setProperty("--ground", background);
  else document.documentElement.style.removeProperty("--ground");
}

export function openGround(studio) {
  $("ground-controls").hidden = !studio.alpha;
  if (!studio.alpha) return;
  const known = [...$("ground").options].map((option) => option.value);
  const before = localStorage.getItem("ground");
  if (known.includes(before)) $("ground").value = before;
  $("ground-colour").value = localStorage.getItem("ground-colour") ?? "#7a9cc6";
  $("ground").addEventListener("change", show);
  $("ground-colour").addEventListener("input", show);
  $("ground-texture").addEventListener("change", () => {
    if (!$("ground-texture").files.length) return;
    if (texture) URL.revokeObjectURL(texture);
    texture = URL.createObjectURL($("ground-texture").files[0]);
    show();
  });
  show();
}
