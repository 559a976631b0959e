"use strict";
// Search, filter and sort the tables that have controls; without this all rows are there.
for (const form of document.querySelectorAll("form")) {
  const table = form.parentElement.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const output = form.querySelector("output");
  const controls = [...form.querySelectorAll("[data-column]")];

  const fits = (row, control) => {
    const text = row.cells[control.dataset.column].textContent;
    if (control.type !== "search") return control.value === "" || control.value === text;
    return text.toLowerCase().includes(control.value.toLowerCase());
  };

  const filter = () => {
    for (const row of rows) row.hidden = !controls.every((control) => fits(row, control));
    output.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  };

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent;
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

  for (const header of table.querySelectorAll("th")) {
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
