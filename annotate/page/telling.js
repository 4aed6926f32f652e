// One line of state, short messages, and errors that stay until they are dismissed.

function say(text, kind) {
  const status = find(".pl-status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.kind = kind;
}

// For screen readers and, for some seconds, on the screen.
let toastTimer = null;
function announce(text) {
  const toast = find(".pl-toast");
  toast.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (toast.textContent = ""), 6000);
}

function complain(message) {
  const row = make("div");
  const close = make("button", "", "Dismiss");
  close.type = "button";
  close.addEventListener("click", () => row.remove());
  row.append(make("span", "", message), close);
  find(".pl-errors").append(row);
}

// The page scrolls far enough for the bar to hide nothing.
function roomForBar() {
  requestAnimationFrame(() => app.style.setProperty("--bar", find(".pl-bar").offsetHeight + "px"));
}

// The pages this person may open.
function showLinks() {
  find(".pl-name").textContent = me.name;
  for (const link of findAll("[data-for]")) link.hidden = !link.dataset.for.split(" ").includes(me.role);
}
