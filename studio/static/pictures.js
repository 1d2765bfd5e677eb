// Garments on canvases: raw pixels from the studio, enlarged here, smooth or pixelated.

const SHOWN_PX = 256;
const ICONS = {
  lock: "M5 9h10v8H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  keep: "M6 3h8v14l-4-3.5L6 17z",
  save: "M10 3v9m-3.5-3.5L10 12l3.5-3.5M4 16.5h12",
  like: "M10 16.5S3.5 12.8 3.5 8.3A3.4 3.4 0 0 1 10 6.9a3.4 3.4 0 0 1 6.5 1.4c0 4.5-6.5 8.2-6.5 8.2z",
  dislike: "M5 5l10 10M15 5L5 15",
  edit: "M4 16l1-4 8.5-8.5 3 3L8 15z",
  remove: "M5 6h10M8 6V4h4v2M6.5 6l.7 10.5h5.6L13.5 6",
};

let smooth = localStorage.getItem("smooth") !== "no";
export const isSmooth = () => smooth;
export function setSmooth(wanted) {
  smooth = wanted;
  localStorage.setItem("smooth", wanted ? "yes" : "no");
  for (const canvas of document.querySelectorAll("canvas")) if (canvas.picture) paint(canvas, canvas.picture);
}

// The garments of a grid, each with its pixels as RGBA.
export function unpack(grid) {
  const bytes = Uint8Array.from(atob(grid.pixels), (letter) => letter.charCodeAt(0));
  const size = grid.height * grid.width;
  return grid.addresses.map((address, n) => {
    const rgba = new ImageData(grid.width, grid.height);
    for (let p = 0; p < size; p++) {
      const from = (n * size + p) * grid.channels;
      for (let c = 0; c < 3; c++) rgba.data[4 * p + c] = bytes[from + (grid.channels > 2 ? c : 0)];
      rgba.data[4 * p + 3] = grid.channels % 2 ? 255 : bytes[from + grid.channels - 1]; // 2 and 4 channels have alpha
    }
    return { address, category: grid.categories[n], pixels: rgba };
  });
}

const scratch = document.createElement("canvas");
export function paint(canvas, picture) {
  canvas.picture = picture;
  const { width, height } = picture.pixels;
  scratch.width = width;
  scratch.height = height;
  scratch.getContext("2d").putImageData(picture.pixels, 0, 0);
  const times = Math.max(1, Math.floor(SHOWN_PX / Math.max(width, height)));
  canvas.width = width * times;
  canvas.height = height * times;
  canvas.classList.toggle("crisp", !smooth);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(scratch, 0, 0, canvas.width, canvas.height);
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function tool(name, label, onClick, pressed) {
  const button = document.createElement("button");
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", label);
  if (pressed !== undefined) button.setAttribute("aria-pressed", String(pressed));
  button.append(icon(name));
  button.addEventListener("click", onClick);
  return button;
}

// A figure: the picture as a button, its name, and tool buttons.
export function card(view, label, name, onPick, tools) {
  const figure = document.createElement("figure");
  figure.className = "card";
  const pick = document.createElement("button");
  pick.type = "button";
  pick.className = "pick";
  pick.setAttribute("aria-label", label);
  pick.append(view);
  pick.addEventListener("click", onPick);
  const caption = document.createElement("figcaption");
  const text = document.createElement("span");
  text.className = "name";
  text.textContent = name;
  const row = document.createElement("span");
  row.className = "tools";
  row.append(...tools);
  caption.append(text, row);
  figure.append(pick, caption);
  return figure;
}

export function canvasOf(picture) {
  const canvas = document.createElement("canvas");
  paint(canvas, picture);
  return canvas;
}

// Arrow keys move the focus between garments.
export function walkByArrows(grid) {
  grid.addEventListener("keydown", (event) => {
    const picks = [...grid.querySelectorAll(".pick")];
    const at = picks.indexOf(document.activeElement);
    if (at < 0) return;
    const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    picks[Math.min(Math.max(at + step, 0), picks.length - 1)].focus();
  });
}

export function download(source, name) {
  const link = document.createElement("a");
  link.href = source instanceof Blob ? URL.createObjectURL(source) : source;
  link.download = name;
  link.click();
  if (source instanceof Blob) setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const pictureUrl = (address, side) => `picture/${address}.png?side=${side}`;
