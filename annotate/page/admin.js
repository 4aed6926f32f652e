// Tables of the admin pages: sorting by a column, buttons that reach Python, copying.
const order = { column: -1, up: false };

function sortValue(row) {
  const cell = row.children[order.column];
  if ("by" in cell.dataset) return Number(cell.dataset.by);
  return cell.textContent.trim().toLowerCase();
}

function applyOrder() {
  const table = element.querySelector("table:has([data-sort])");
  if (!table || order.column < 0) return;
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => [sortValue(row), row]);
  rows.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (order.up ? 1 : -1));
  body.append(...rows.map(([, row]) => row));
  for (const head of table.querySelectorAll("th")) head.removeAttribute("aria-sort");
  const head = table.querySelector(`[data-sort="${order.column}"]`).closest("th");
  head.setAttribute("aria-sort", order.up ? "ascending" : "descending");
}

element.addEventListener("click", async (event) => {
  const head = event.target.closest("[data-sort]");
  if (head) {
    const column = Number(head.dataset.sort);
    order.up = order.column === column ? !order.up : false;
    order.column = column;
    applyOrder();
    return;
  }
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const field = copy.parentElement.querySelector("input");
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy");
    }
    copy.textContent = "Copied";
    return;
  }
  const pick = event.target.closest("[data-pick]");
  if (pick) trigger("click", { action: pick.dataset.action, pick: pick.dataset.pick });
});

function applyLinks() {
  for (const field of element.querySelectorAll("[data-path]")) field.value = location.origin + field.dataset.path;
}

watch("value", () => {
  applyOrder();
  applyLinks();
});
