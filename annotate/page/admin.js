// Tables and pictures of the admin pages: sorting, buttons that reach Python, copying, saving.
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

// The picture as a file of its own. Without the page's variables it has its light colours.
function savePicture(button) {
  const copy = button.closest("figure").querySelector("svg").cloneNode(true);
  const [, , width, height] = copy.getAttribute("viewBox").split(" ");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["width", "100%"], ["height", "100%"], ["fill", "#fff"]]) back.setAttribute(name, value);
  copy.prepend(back);
  const file = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = button.dataset.save;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
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
  const save = event.target.closest("[data-save]");
  if (save) {
    savePicture(save);
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
