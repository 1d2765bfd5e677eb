// Suggestions: likes and dislikes decide what comes next.

import { attempt, request } from "./api.js";
import { keep } from "./dialogs.js";
import { canvasOf, card, tool, unpack, walkByArrows } from "./pictures.js";
import { fillCategories } from "./generate.js";

const $ = (id) => document.getElementById(id);

export function openSuggestions(studio, go) {
  const grid = $("suggestions-grid");
  let garments = [];
  let round = 0;
  let basis = ""; // what the shown garments follow
  fillCategories($("suggestions-category"), studio.categories);
  walkByArrows(grid);

  const draw = () => {
    grid.replaceChildren(...garments.map((garment, n) => {
      const label = `${garment.category} ${n + 1}`;
      const vote = (value) => () => {
        garment.vote = garment.vote === value ? 0 : value;
        like.setAttribute("aria-pressed", String(garment.vote === 1));
        dislike.setAttribute("aria-pressed", String(garment.vote === -1));
        figure.classList.toggle("liked", garment.vote === 1);
        figure.classList.toggle("disliked", garment.vote === -1);
      };
      const like = tool("like", `Like ${label}`, vote(1), false);
      const dislike = tool("dislike", `Dislike ${label}`, vote(-1), false);
      const tools = [
        like,
        dislike,
        tool("keep", `Keep ${label}`, () => keep({ address: garment.address }, garment.category)),
        tool("edit", `Edit ${label}`, () => go("edit", garment.address)),
      ];
      const figure = card(canvasOf(garment), `Like ${label}, shown large`, "", vote(1), tools);
      return figure;
    }));
    $("suggestions-round").textContent = `Round ${round}${basis ? `, by your ${basis}.` : ": what there is. Vote, or fill in your profile."}`;
  };

  const effectsHere = () => request("GET", `api/profile/effects?category=${encodeURIComponent($("suggestions-category").value)}`);
  const next = (votes) => attempt(async () => {
    const answer = await request("POST", "api/suggestions", {
      category: $("suggestions-category").value,
      votes,
      seed: Math.floor(Math.random() * 4294967296),
    });
    const effects = await effectsHere();
    basis = [effects.counts && "profile", effects.votes && "votes"].filter(Boolean).join(" and ");
    garments = unpack(answer).map((garment) => ({ ...garment, vote: 0 }));
    round += 1;
    draw();
  });

  $("suggestions-controls").addEventListener("submit", (event) => {
    event.preventDefault();
    next(garments.map(({ address, vote }) => ({ address, vote })));
  });
  $("suggestions-category").addEventListener("change", () => { round = 0; next([]); });
  $("suggestions-restart").addEventListener("click", () => attempt(async () => {
    await request("DELETE", `api/suggestions?category=${encodeURIComponent($("suggestions-category").value)}`);
    round = 0;
    await next([]);
  }));
  return async () => {
    if (garments.length) return;
    const { categories } = await effectsHere();
    if (categories.length) [$("suggestions-category").value] = categories; // that the profile names
    await next([]);
  };
}
