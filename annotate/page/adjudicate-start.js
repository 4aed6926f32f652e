// Keys, clicks and the start.

function toggle(what) {
  if (what === "raw") raw = !raw;
  else marking = !marking;
  find('[data-action="' + what + '"]').setAttribute("aria-pressed", what === "raw" ? raw : marking);
  const view = find(".pl-view");
  if (!view) return;
  drawView(view, card);
  fit(view);
  if (what === "marks" && marking) announce(view.dataset.marks);
}

const pointing = {
  more: () => {
    const view = find(".pl-view");
    view.classList.toggle("pl-whole");
    view.dataset.fitted = "";
    fit(view);
  },
  "more-cases": () => attempt("Loading", moreCases),
  "send-discussion": () => sendDiscussion(),
  "reset-keys": () => resetKeys(),
};

listen(window, "keydown", (event) => {
  if (changing) return takeKey(event);
  if (event.isComposing || event.repeat || !me || app.querySelector("dialog:modal")) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "pj-discuss") sendDiscussion();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const action = keymap.get(keyName(event));
  if (!action) return;
  event.preventDefault();
  action.run();
});

listen(app, "click", (event) => {
  if (event.target.matches("dialog:modal")) return event.target.close(); // a click beside it
  const button = event.target.closest("button");
  if (!button) return;
  if (event.detail > 0 && !button.closest("dialog, form")) button.blur();
  const { action, change, copy, filter: part, case: pair } = button.dataset;
  if (action) actionsById.get(action).run();
  else if (change) askForKey(change);
  else if (copy) copyCard(copy);
  else if (part) choosePart(part);
  else if (pair) openCase(pair);
  else if (button.dataset.do) pointing[button.dataset.do]();
});

listen(find('[data-dialog="help"]'), "close", () => {
  changing = null;
  sayKeys("");
  paintKeys();
});
listen(window, "pagehide", () => {
  if (me && !leaving) navigator.sendBeacon("/api/adjudication/release", new Blob(["{}"], { type: "application/json" }));
});
listen(document, "visibilitychange", () => {
  if (document.hidden) awaySince = performance.now();
  else {
    if (awaySince !== null) awayMs += performance.now() - awaySince;
    awaySince = null;
    if (me) loadCases();
  }
});
listen(window, "resize", () => {
  const view = find(".pl-view");
  if (view) {
    view.dataset.fitted = "";
    fit(view);
  }
  roomForBar();
});
page.signal.addEventListener("abort", () => [listTimer, toastTimer].forEach(clearTimeout));

async function start() {
  while (!page.signal.aborted) {
    try {
      me = await call("/api/me");
      break;
    } catch {
      find(".pl-idle h2").textContent = "Waiting for the server";
      await sleep(1500);
    }
  }
  showLinks();
  loadKeys();
  await loadCases();
}
start();
