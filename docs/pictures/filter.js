// A filter for the tables of a page: it hides the rows, and the headings, that do not hold each word typed.
// A page asks for it with <div data-filter="WHAT THE ROWS ARE"></div>, and is complete without it.
document.querySelectorAll("[data-filter]").forEach((place) => {
  const what = place.dataset.filter;
  const rows = [...document.querySelectorAll(".cards tbody tr")].map((row) => {
    const heading = row.closest(".cards").previousElementSibling;
    return { row, heading, text: `${heading.textContent} ${row.textContent}`.toLowerCase() };
  });
  const label = document.createElement("label");
  const input = document.createElement("input");
  const count = document.createElement("p");
  input.type = "search";
  input.id = "filter";
  input.autocomplete = "off";
  label.htmlFor = input.id;
  label.textContent = `Filter the ${what}: `;
  count.setAttribute("role", "status");
  place.classList.add("filter");
  place.append(label, input, count);

  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set();
    let number = 0;
    for (const each of rows) {
      each.row.hidden = !words.every((word) => each.text.includes(word));
      if (!each.row.hidden) {
        shown.add(each.heading);
        number += 1;
      }
    }
    for (const { row, heading } of rows) {
      heading.hidden = row.closest(".cards").hidden = !shown.has(heading);
    }
    count.textContent = `${number} of ${rows.length} ${what} shown`;
  };
  input.addEventListener("input", apply);
  apply();
});
