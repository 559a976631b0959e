"use strict";
// Search, filter and sort the tables of parameters; without this all rows are there.
for (const section of document.querySelectorAll(".parameters")) {
  const form = section.querySelector("form");
  const body = section.querySelector("tbody");
  const rows = [...body.rows];
  const output = form.querySelector("output");

  const filter = () => {
    const name = form.elements.name.value.toLowerCase();
    const chosen = [...form.querySelectorAll("select")].filter((select) => select.value);
    let shown = 0;
    for (const row of rows) {
      const fits = row.dataset.name.toLowerCase().includes(name)
        && chosen.every((select) => row.dataset[select.name] === select.value);
      row.hidden = !fits;
      shown += fits;
    }
    output.textContent = `${shown} of ${rows.length}`;
  };

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell.classList.contains("number")) return cell.textContent;
    return Number(cell.dataset.value); // NaN where there is none
  };

  const sort = (header) => {
    const ascending = header.ariaSort !== "ascending";
    const column = header.cellIndex;
    for (const other of header.parentElement.cells) other.ariaSort = null;
    header.ariaSort = ascending ? "ascending" : "descending";
    rows.sort((a, b) => {
      const [x, y] = [valueOf(a, column), valueOf(b, column)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
      return ascending ? order : -order;
    });
    body.append(...rows);
  };

  for (const header of section.querySelectorAll("th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    button.addEventListener("click", () => sort(header));
    header.replaceChildren(button);
  }
  for (const event of ["input", "change"]) form.addEventListener(event, filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
}
