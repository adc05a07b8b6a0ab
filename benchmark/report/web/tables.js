"use strict";
// Tables: a heading's button sorts; the switches above them show and hide columns and rows, those of tags also lines and images.
const Methods = { // which are shown
  tags: JSON.parse(document.getElementById("facts").textContent).tags,
  chosen: [],
  shows(label) { return !Methods.chosen.length || (Methods.tags[label] || []).some((tag) => Methods.chosen.includes(tag)); },
};

{
  const value = (row, place, word) => {
    const cell = row.cells[place];
    return word ? cell.textContent || null : "sort" in cell.dataset ? Number(cell.dataset.sort) : null;
  };

  const order = (table, place, up) => {
    const heads = [...table.tHead.rows[0].cells], head = heads[place], word = head.classList.contains("word");
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = value(a, place, word), y = value(b, place, word);
      if (x === null || y === null) return (x === null) - (y === null);
      return (up ? 1 : -1) * (word ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...rows);
  };

  const name = (table) => table.caption.textContent;
  const sort = (table, place) => { // the best first, then the other way round
    const head = table.tHead.rows[0].cells[place], before = head.getAttribute("aria-sort");
    const up = before ? before === "descending" : "up" in head.dataset;
    order(table, place, up);
    Memory.set("sorts", { ...Memory.get("sorts"), [name(table)]: [head.textContent, up] });
  };

  const tables = [...document.querySelectorAll("table.sortable")], sorts = Memory.get("sorts") || {};
  for (const table of tables) {
    const heads = [...table.tHead.rows[0].cells], [heading, up] = Array.isArray(sorts[name(table)]) ? sorts[name(table)] : [];
    heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => sort(table, place)));
    const place = heads.findIndex((head) => head.textContent === heading);
    if (place >= 0) order(table, place, up === true);
  }

  const switches = document.getElementById("switches"), filtered = document.getElementById("filtered");
  const inputs = () => [...switches.querySelectorAll("input")];
  const chosen = (name) => inputs().filter((input) => input.name === name && input.checked).map((input) => input.value);

  const show = () => {
    const [protocol] = chosen("protocol"), [views] = chosen("views"), kinds = chosen("kind"), metrics = chosen("metric");
    Methods.chosen = chosen("tag");
    for (const board of document.querySelectorAll("[data-board]")) board.hidden = views !== "all" && /^\d+$/.test(board.dataset.board) && board.dataset.board !== views;
    for (const table of tables) {
      const wanted = [...table.tHead.rows[0].cells].map(({ dataset }) =>
        !dataset.kind || (kinds.includes(dataset.kind) && (!dataset.metric || metrics.includes(dataset.metric)) && (!dataset.protocol || dataset.protocol === protocol)));
      for (const row of table.rows) {
        [...row.cells].forEach((cell, place) => { cell.hidden = !wanted[place]; });
        const other = views !== "all" && /^\d+$/.test(row.dataset.views ?? "") && row.dataset.views !== views;
        row.hidden = other || ("method" in row.dataset && !Methods.shows(row.dataset.method));
      }
    }
    const labels = Object.keys(Methods.tags), count = labels.filter(Methods.shows).length;
    filtered.textContent = count < labels.length ? `Shown: ${count} of ${labels.length} methods, tagged ${Methods.chosen.join(" or ")}. Ranks are among all of them.` : "";
    document.dispatchEvent(new Event("methods"));
  };

  if (switches) {
    const kept = Memory.get("switches"), first = inputs().map((input) => input.checked);
    const names = (input) => `${input.name}=${input.value}`;
    if (kept && typeof kept === "object") for (const input of inputs()) if (names(input) in kept) input.checked = kept[names(input)] === true;
    switches.addEventListener("change", () => {
      Memory.set("switches", Object.fromEntries(inputs().map((input) => [names(input), input.checked])));
      show();
    });
    switches.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("defaults").addEventListener("click", () => {
      Memory.forget();
      inputs().forEach((input, index) => { input.checked = first[index]; });
      show();
    });
    show();
  }

  const open = () => { // the parameters that a link leads to
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", open);
  open();
}
