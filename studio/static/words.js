// Changes in words: each becomes a slider, with what else it changes.

import { attempt, request } from "./api.js";
import { effectsOf, sliderRow } from "./sliders.js";

const $ = (id) => document.getElementById(id);

// `base()` is the garment that sliders start from; `move()` draws it anew.
export function openWords(studio, base, move) {
  let changes = []; // { before, after, amount }
  let asked = 0;
  $("words-form").hidden = !studio.takes_text;
  $("words-none").hidden = studio.takes_text;

  const show = () => { $("edit-original").hidden = changes.length === 0; };

  const add = (found) => {
    const change = { before: found.before, after: found.after, amount: Math.round(10 * found.step) / 10 };
    changes.push(change);
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove the change ${found.words}`);
    const line = `From “${found.before}” to “${found.after}”; ${effectsOf({ id: "", effects: found.effects }, studio.measures)}`;
    const row = sliderRow({ id: `words-${++asked}`, title: found.words, reach: found.reach }, remove, line, (amount) => {
      change.amount = amount;
      move();
    }, change.amount);
    remove.addEventListener("click", () => {
      changes = changes.filter((one) => one !== change);
      row.remove();
      show();
      $("words-text").focus();
      move();
    });
    $("sliders-words").append(row);
    show();
    row.querySelector("input").focus();
    move();
  };

  $("words-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const address = base().address;
    $("words-state").textContent = "Measuring what this changes…";
    attempt(async () => {
      const found = await request("POST", "api/word-edits", { address, words: $("words-text").value });
      if (base().address !== address) return; // another garment was chosen meanwhile
      $("words-text").value = "";
      add(found);
    }).finally(() => { $("words-state").textContent = ""; });
  });

  return {
    moved: () => changes.filter((one) => one.amount !== 0),
    clear: () => {
      changes = [];
      $("sliders-words").replaceChildren();
      show();
    },
  };
}
