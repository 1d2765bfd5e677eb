// Profile: what a designer says of her or his taste and body, stored by the studio; with what of it counts for a category.

import { attempt, notify, request } from "./api.js";
import { fillCategories } from "./generate.js";

const $ = (id) => document.getElementById(id);
const wordsOf = (text) => text.split(/[,;、，]/).map((word) => word.trim()).filter(Boolean);
const measureFields = () => [...$("profile-form").querySelectorAll("input[type=number]")];

function colourChoice(colour) {
  const label = document.createElement("label");
  const select = document.createElement("select");
  select.dataset.colour = colour;
  select.append(new Option("no opinion", ""), new Option("liked", "liked"), new Option("not liked", "disliked"));
  label.append(`${colour[0].toUpperCase()}${colour.slice(1)} `, select);
  return label;
}

export function openProfile(studio) {
  let opened = false;
  fillCategories($("profile-category"), studio.categories);

  const colourSelects = () => [...$("profile-colours").querySelectorAll("select")];
  const show = ({ stored, profile, colours, shapes }) => {
    if (!colourSelects().length) {
      $("profile-colours").append(...colours.map(colourChoice));
      $("profile-shape").append(...shapes.map((shape) => new Option(shape, shape)));
    }
    for (const select of colourSelects()) {
      const { colour } = select.dataset;
      select.value = profile.colours_liked.includes(colour) ? "liked" : profile.colours_disliked.includes(colour) ? "disliked" : "";
    }
    $("profile-styles").value = profile.styles.join(", ");
    $("profile-occasions").value = profile.occasions.join(", ");
    $("profile-shape").value = profile.shape ?? "";
    for (const field of measureFields()) field.value = profile.measures[field.name] ?? "";
    $("profile-state").textContent = stored ? "A profile is stored." : "No profile is stored.";
  };
  const entered = () => {
    const chosen = (value) => colourSelects().filter((select) => select.value === value).map((select) => select.dataset.colour);
    return {
      shape: $("profile-shape").value || null,
      measures: Object.fromEntries(measureFields().map((field) => [field.name, field.value === "" ? null : Number(field.value)])),
      colours_liked: chosen("liked"),
      colours_disliked: chosen("disliked"),
      styles: wordsOf($("profile-styles").value),
      occasions: wordsOf($("profile-occasions").value),
    };
  };
  const showEffects = async () => {
    const category = $("profile-category").value;
    const { sentences, votes } = await request("GET", `api/profile/effects?category=${encodeURIComponent(category)}`);
    $("profile-effects").replaceChildren(...[...sentences, `${votes} likes and dislikes count here, too`].map((sentence) => {
      const item = document.createElement("li");
      item.textContent = sentence;
      return item;
    }));
  };
  const store = async (profile) => {
    show(await request("PUT", "api/profile", profile));
    notify("The profile is stored.");
    await showEffects();
  };

  $("profile-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => store(entered()));
  });
  $("profile-delete").addEventListener("click", () => attempt(async () => {
    await request("DELETE", "api/profile");
    show(await request("GET", "api/profile"));
    notify("The profile and all likes and dislikes are deleted.");
    await showEffects();
  }));
  $("profile-file").addEventListener("change", (event) => attempt(async () => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    let exported;
    try {
      exported = JSON.parse(await file.text());
    } catch {
      throw new Error("This file is not an exported profile.");
    }
    if (!exported?.profile) throw new Error("This file is not an exported profile.");
    await store(exported.profile);
  }));
  $("profile-category").addEventListener("change", () => attempt(showEffects));

  return async () => {
    if (opened) return;
    show(await request("GET", "api/profile"));
    opened = true;
    await showEffects();
  };
}
