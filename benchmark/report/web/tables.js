"use strict";
// Tables: a heading's button sorts; the switches above them show and hide columns and rows.
{
  const value = (row, place, word) => {
    const cell = row.cells[place];
    return word ? cell.textContent : "sort" in cell.dataset ? Number(cell.dataset.sort) : null;
  };

  const sort = (table, place) => {
    const heads = [...table.tHead.rows[0].cells];
    const head = heads[place], word = head.classList.contains("word"), before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : word || place === 0; // numbers: the largest first
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = value(a, place, word), y = value(b, place, word);
      if (x === null || y === null) return (x === null) - (y === null);
      return (up ? 1 : -1) * (word ? x.localeCompare(y) : x - y);
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...rows);
  };

  for (const table of document.querySelectorAll("table.sortable"))
    [...table.tHead.rows[0].cells].forEach((head, place) => head.querySelector("button").addEventListener("click", () => sort(table, place)));

  const switches = document.getElementById("switches");
  const chosen = (name) => [...switches.querySelectorAll(`input[name=${name}]:checked`)].map((input) => input.value);

  const show = () => {
    const [protocol] = chosen("protocol"), [views] = chosen("views"), kinds = chosen("kind"), metrics = chosen("metric");
    for (const board of document.querySelectorAll("[data-board]")) board.hidden = views !== "all" && /^\d+$/.test(board.dataset.board) && board.dataset.board !== views;
    for (const table of document.querySelectorAll("table.sortable")) {
      const wanted = [...table.tHead.rows[0].cells].map(({ dataset }) =>
        !dataset.kind || (kinds.includes(dataset.kind) && (!dataset.metric || metrics.includes(dataset.metric)) && (!dataset.protocol || dataset.protocol === protocol)));
      for (const row of table.rows) {
        [...row.cells].forEach((cell, place) => { cell.hidden = !wanted[place]; });
        row.hidden = views !== "all" && /^\d+$/.test(row.dataset.views ?? "") && row.dataset.views !== views;
      }
    }
  };

  if (switches) {
    switches.addEventListener("change", show);
    switches.addEventListener("submit", (event) => event.preventDefault());
    show(); // a browser may have kept the choices of an earlier visit
  }
}
