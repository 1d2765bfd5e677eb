// Shows the section named by the URL fragment; garments go from section to section by their addresses.

import { attempt, notify, request } from "./api.js";
import { openCollections } from "./collections.js";
import { openEdit } from "./edit.js";
import { openFabric } from "./fabric.js";
import { openGenerate } from "./generate.js";
import { openGround } from "./ground.js";
import { openPhotograph } from "./photograph.js";
import { isSmooth, setSmooth } from "./pictures.js";
import { openProfile } from "./profile.js";
import { openSuggestions } from "./suggestions.js";
import { openTrends } from "./trends.js";
import { openTryOn } from "./tryon.js";

const studio = await attempt(() => request("GET", "api/studio"));
if (studio) {
  const go = (section, address) => { location.hash = address ? `${section}/${address}` : section; };
  openGround(studio);
  const sections = {
    generate: openGenerate(studio, go),
    edit: openEdit(studio, go),
    photograph: openPhotograph(studio, go),
    fabric: openFabric(studio, go),
    tryon: openTryOn(studio, go),
    suggestions: openSuggestions(studio, go),
    profile: openProfile(studio, go),
    trends: openTrends(studio, go),
    collections: openCollections(studio, go),
  };

  const show = () => {
    const [name, address] = location.hash.slice(1).split("/");
    const section = name in sections ? name : "generate";
    for (const other of Object.keys(sections)) document.getElementById(`section-${other}`).hidden = other !== section;
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#${section}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${document.querySelector(`nav a[href="#${section}"]`).textContent} · Atelier studio`;
    attempt(() => sections[section](address));
  };
  addEventListener("hashchange", show);
  show();

  document.getElementById("imprint").textContent =
    `Every picture here is AI-generated, by model ${studio.model}. ${studio.intended_use}`;
  const smooth = document.getElementById("smooth");
  smooth.checked = isSmooth();
  smooth.addEventListener("change", () => setSmooth(smooth.checked));
} else {
  notify("The studio does not respond. Start it again and reload this page.");
}
