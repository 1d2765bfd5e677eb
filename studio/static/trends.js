// Trends: what the forecast says, and garments that follow it.

import { attempt, request } from "./api.js";
import { keep } from "./dialogs.js";
import { canvasOf, card, download, pictureUrl, tool, unpack, walkByArrows } from "./pictures.js";

const $ = (id) => document.getElementById(id);
const ARROWS = { rises: "\u2191 rises", falls: "\u2193 falls", unclear: "unclear" };

const percent = (share) => `${share < 0 ? "\u2212" : "+"}${Math.abs(Math.round(100 * share))} %`;
const interval = (trend) => (trend.change === null ? trend.note || "no year to compare with"
  : `${percent(trend.change)} (80 %: ${percent(trend.low_80)} to ${percent(trend.high_80)})`);

export function openTrends(studio, go) {
  const grid = $("trends-grid");
  let seed = 1;
  walkByArrows(grid);

  const show = (trend) => attempt(async () => {
    const answer = await request("POST", "api/trends/grid", { name: trend.name, count: 16, seed: seed++ });
    const garments = answer.grid ? unpack(answer.grid) : [];
    grid.replaceChildren(...garments.map((garment, n) => {
      const label = `${garment.category} ${n + 1}`;
      return card(canvasOf(garment), `Edit ${label}`, garment.category, () => go("edit", garment.address), [
        tool("keep", `Keep ${label}`, () => keep({ address: garment.address }, garment.category)),
        tool("save", `Download ${label}`, () => download(pictureUrl(garment.address, 512), `${garment.category}.png`)),
      ]);
    }));
    const found = garments.length < 16 ? ` Only ${garments.length} of ${answer.looked_at} garments show it.` : "";
    const how = answer.how ? ` ${answer.how}` : "";
    $("trends-shown").textContent =
      `${trend.name}: ${ARROWS[trend.direction]}, ${interval(trend)}, from ${trend.pictures.toLocaleString("en")} pictures.${how}${found}`;
  });

  const row = (trend) => {
    const line = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = trend.name;
    const cells = [ARROWS[trend.direction], interval(trend), trend.pictures.toLocaleString("en")].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    });
    const last = document.createElement("td");
    if (trend.not_drawn) {
      last.textContent = trend.not_drawn;
    } else {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Draw";
      button.setAttribute("aria-label", `Draw ${trend.name}`);
      button.addEventListener("click", () => show(trend));
      last.append(button);
    }
    line.append(name, ...cells, last);
    return line;
  };

  let loaded = false;
  return async () => {
    if (loaded) return;
    const outlook = await request("GET", "api/trends");
    loaded = true;
    $("trends-empty").textContent = outlook.reason || "No series has enough pictures.";
    $("trends-empty").hidden = outlook.trends.length > 0;
    $("trends-table").hidden = outlook.trends.length === 0;
    $("trends-rows").replaceChildren(...outlook.trends.map(row));
  };
}
