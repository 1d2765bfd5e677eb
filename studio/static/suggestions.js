// Suggestions: likes and dislikes decide what comes next.

import { attempt, request } from "./api.js";
import { keep } from "./dialogs.js";
import { canvasOf, card, tool, unpack, walkByArrows } from "./pictures.js";
import { fillCategories } from "./generate.js";

const $ = (id) => document.getElementById(id);

export function openSuggestions(studio, go) {
  const grid = $("suggestions-grid");
  let garments = [];
  let category = null; // of these garments
  let asked = 0; // requests; an answer to any but the latest is dropped
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

  const setDisabled = (disabled) => {
    for (const button of $("suggestions-controls").querySelectorAll("button")) button.disabled = disabled;
  };
  const effectsOn = (wanted) => request("GET", `api/profile/effects?category=${encodeURIComponent(wanted)}`);
  const next = async (votes) => {
    const wanted = $("suggestions-category").value;
    const number = ++asked;
    setDisabled(true); // a second click would send the same votes again
    await attempt(async () => {
      const answer = await request("POST", "api/suggestions", {
        category: wanted,
        votes,
        seed: Math.floor(Math.random() * 4294967296),
      });
      const effects = await effectsOn(wanted);
      if (number !== asked) return;
      basis = [effects.counts && "profile", effects.votes && "votes"].filter(Boolean).join(" and ");
      garments = unpack(answer).map((garment) => ({ ...garment, vote: 0 }));
      category = wanted;
      round += 1;
      draw();
    });
    if (number === asked) setDisabled(false);
  };

  $("suggestions-controls").addEventListener("submit", (event) => {
    event.preventDefault();
    const isShown = category === $("suggestions-category").value;
    next(isShown ? garments.map(({ address, vote }) => ({ address, vote })) : []);
  });
  $("suggestions-category").addEventListener("change", () => { round = 0; next([]); });
  $("suggestions-restart").addEventListener("click", () => attempt(async () => {
    await request("DELETE", `api/suggestions?category=${encodeURIComponent($("suggestions-category").value)}`);
    round = 0;
    await next([]);
  }));
  return async () => {
    if (garments.length) return;
    const { categories } = await effectsOn($("suggestions-category").value);
    if (categories.length) [$("suggestions-category").value] = categories; // that the profile names
    await next([]);
  };
}
