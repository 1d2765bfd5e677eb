// What a garment is asked to be beside its category: a choice for each attribute that the model takes.

export function fillAttributes(place, attributes, changed) {
  place.replaceChildren(...Object.entries(attributes).map(([name, values]) => {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.dataset.attribute = name;
    select.append(new Option("any", ""), ...values.map((value) => new Option(value, value)));
    select.addEventListener("change", changed);
    label.append(`${name[0].toUpperCase()}${name.slice(1).replaceAll("_", " ")} `, select);
    return label;
  }));
}

export function askedAttributes(place) {
  const chosen = [...place.querySelectorAll("select")].filter((select) => select.value);
  return Object.fromEntries(chosen.map((select) => [select.dataset.attribute, select.value]));
}

// An address has the columns that are set behind a tilde: studio/recipe.py.
export function showAttributes(place, attributes, address) {
  const set = new Set((/^[0-9a-f]+-[0-9._]+~([0-9.]+)-/.exec(address)?.[1] ?? "").split("."));
  let column = 0;
  for (const select of place.querySelectorAll("select")) {
    select.value = "";
    for (const value of attributes[select.dataset.attribute]) {
      if (set.has(String(column))) select.value = value;
      column += 1;
    }
  }
}
