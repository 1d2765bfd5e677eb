// Sliders of Edit: what moves a garment, and the effects that were measured.

const MOST_EFFECTS = 3;
const LEAST_EFFECT = 0.4; // standard deviations; less is not visible

// What moving from -2 to +2 does, in a sentence; `measures` are titles by name.
export function effectsOf({ id, effects }, measures) {
  const own = id.replace("measured-", "");
  const others = Object.entries(effects)
    .filter(([name, effect]) => name !== own && Math.abs(effect) >= LEAST_EFFECT)
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, MOST_EFFECTS)
    .map(([name, effect]) => `${measures[name].toLowerCase()} ${effect > 0 ? "+" : "−"}${Math.abs(effect).toFixed(1)}`);
  const main = own in effects ? `its own ${effects[own] > 0 ? "+" : "−"}${Math.abs(effects[own]).toFixed(1)} sd` : "";
  const rest = others.length ? `${main ? "also " : "changes "}${others.join(", ")}` : main ? "little else" : "changes little that is measured";
  return [main, rest].filter(Boolean).join("; ");
}

// A slider with its title, a button beside it and a line below; `onMove` gets its amount.
export function sliderRow({ id, title, reach }, button, line, onMove, start = 0) {
  const row = document.createElement("div");
  row.className = "slider";
  const top = document.createElement("div");
  top.className = "top";
  const label = document.createElement("label");
  label.htmlFor = `slider-${id}`;
  const name = document.createElement("span");
  name.textContent = title;
  const value = document.createElement("output");
  value.textContent = start.toFixed(1);
  label.append(name, value);
  const input = document.createElement("input");
  Object.assign(input, { type: "range", id: label.htmlFor, min: -reach, max: reach, step: 0.1, value: start });
  input.addEventListener("input", () => {
    value.textContent = Number(input.value).toFixed(1);
    onMove(Number(input.value));
  });
  top.append(label, button);
  const below = document.createElement("p");
  below.className = "effects";
  below.textContent = line;
  row.append(top, input, below);
  return row;
}

// Puts all sliders in `section` to 0, without moving anything.
export function resetSliders(section) {
  for (const input of section.querySelectorAll(".slider input")) {
    input.value = 0;
    input.previousElementSibling.querySelector("output").textContent = "0.0";
  }
}
