// Opens the room that the address names, and hands garments from room to room.

import { ask, attempt, say } from "./api.js";
import { openCollections } from "./collections.js";
import { openEdit } from "./edit.js";
import { openFabric } from "./fabric.js";
import { openPhotograph } from "./photograph.js";
import { isSmooth, setSmooth } from "./pictures.js";
import { openTaste } from "./taste.js";
import { openWall } from "./wall.js";

const studio = await attempt(() => ask("GET", "api/studio"));
if (studio) {
  const go = (room, address) => { location.hash = address ? `${room}/${address}` : room; };
  const rooms = {
    wall: openWall(studio, go),
    edit: openEdit(studio, go),
    photograph: openPhotograph(studio, go),
    fabric: openFabric(studio, go),
    taste: openTaste(studio, go),
    collections: openCollections(studio, go),
  };

  const show = () => {
    const [name, address] = location.hash.slice(1).split("/");
    const room = name in rooms ? name : "wall";
    for (const other of Object.keys(rooms)) document.getElementById(`room-${other}`).hidden = other !== room;
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#${room}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${room[0].toUpperCase()}${room.slice(1)} · Atelier studio`;
    attempt(() => rooms[room](address));
  };
  addEventListener("hashchange", show);
  show();

  document.getElementById("imprint").textContent =
    `Every picture here is AI-generated, by model ${studio.model}. ${studio.intended_use}`;
  const smooth = document.getElementById("smooth");
  smooth.checked = isSmooth();
  smooth.addEventListener("change", () => setSmooth(smooth.checked));
} else {
  say("The studio does not answer; start it again and reload this page.");
}
