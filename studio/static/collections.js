// Collections: kept garments, to name, compare, and download as a board or sheet.

import { attempt, notify, request } from "./api.js";
import { askName } from "./dialogs.js";
import { card, tool, walkByArrows } from "./pictures.js";

const $ = (id) => document.getElementById(id);

export function openCollections(_studio, go) {
  let collections = [];
  let open = null;
  let chosen = new Set();
  walkByArrows($("collection-grid"));

  const pictureOf = (piece) => `api/collections/${open}/pieces/${piece.id}/picture`;
  const image = (piece) => Object.assign(document.createElement("img"), { src: pictureOf(piece), alt: piece.name });

  const drawPieces = async () => {
    chosen = new Set();
    const pieces = open ? await request("GET", `api/collections/${open}/pieces`) : [];
    $("collection-tools").hidden = !open;
    $("collection-empty").hidden = pieces.length > 0;
    if (open) {
      $("collection-pdf").href = `api/collections/${open}/board.pdf`;
      $("collection-sheet").href = `api/collections/${open}/sheet.png`;
    }
    $("collection-grid").replaceChildren(...pieces.map((piece) => {
      const figure = card(image(piece), `Select ${piece.name} to compare`, piece.name, () => {
        const now = chosen.has(piece) ? !chosen.delete(piece) : Boolean(chosen.add(piece));
        figure.classList.toggle("locked", now);
        figure.querySelector(".pick").setAttribute("aria-pressed", String(now));
      }, [
        tool("edit", piece.address ? `Edit ${piece.name}` : `Rename ${piece.name}`, () => (piece.address ? go("edit", piece.address) : rename(piece))),
        tool("remove", `Remove ${piece.name}`, () => attempt(async () => {
          await request("DELETE", `api/collections/${open}/pieces/${piece.id}`);
          await refresh();
        })),
      ]);
      figure.querySelector(".pick").setAttribute("aria-pressed", "false");
      figure.querySelector(".name").addEventListener("dblclick", () => rename(piece));
      return figure;
    }));
  };

  const rename = (piece) => attempt(async () => {
    const name = await askName("Name this piece", piece.name, false);
    if (!name) return;
    await request("PUT", `api/collections/${open}/pieces/${piece.id}`, { name });
    await drawPieces();
  });

  const refresh = async () => {
    collections = await request("GET", "api/collections");
    if (!collections.some((one) => one.id === open)) open = collections[0]?.id ?? null;
    $("collection-list").replaceChildren(...collections.map((one) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      if (one.id === open) button.setAttribute("aria-current", "true");
      const [name, count] = [document.createElement("span"), document.createElement("span")];
      name.textContent = one.name;
      count.textContent = one.pieces;
      button.append(name, count);
      button.addEventListener("click", () => { open = one.id; attempt(refresh); });
      item.append(button);
      return item;
    }));
    await drawPieces();
  };

  $("collection-new").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      open = (await request("POST", "api/collections", { name: $("collection-name").value })).id;
      $("collection-name").value = "";
      await refresh();
    });
  });
  $("collection-rename").addEventListener("click", () => attempt(async () => {
    const name = await askName("Name this collection", collections.find((one) => one.id === open).name, false);
    if (!name) return;
    await request("PUT", `api/collections/${open}`, { name });
    await refresh();
  }));
  $("collection-delete").addEventListener("click", () => attempt(async () => {
    collections = await request("GET", "api/collections"); // another window may have added to it or renamed it
    const current = collections.find((one) => one.id === open);
    if (!current) { await refresh(); notify("This collection was deleted in another window."); return; }
    const { name, pieces } = current;
    if (pieces && !confirm(`Delete ${name} with its ${pieces} pieces?`)) return;
    await request("DELETE", `api/collections/${open}`);
    await refresh();
  }));
  $("collection-compare").addEventListener("click", () => {
    if (chosen.size < 2) { notify("Select two or more pieces first."); return; }
    $("compare-pictures").replaceChildren(...[...chosen].map((piece) => {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = piece.name;
      figure.append(image(piece), caption);
      return figure;
    }));
    $("compare-dialog").showModal();
  });
  $("compare-close").addEventListener("click", () => $("compare-dialog").close());
  return refresh;
}
