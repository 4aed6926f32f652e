// Keys, clicks and the start. Continues deciding.js.

// ---- keys and clicks --------------------------------------------------------------------------

const SCALE = [
  ["left", "strong"], ["left", "clear"], ["left", "slight"], ["tie", null],
  ["right", "slight"], ["right", "clear"], ["right", "strong"],
];
const LETTERS = {
  t: () => decide("tie", null),
  b: () => decide("both_bad", null),
  s: () => decide("skip", null),
  u: actions.undo,
  n: actions.note,
  r: actions.raw,
  g: actions.guidelines,
};

function isTyping(target) {
  if (target.isContentEditable || target.matches?.("textarea, select")) return true;
  return target.matches?.("input:not([type=checkbox], [type=radio], [type=button])") ?? false;
}

function actionOf(event) {
  if (event.key === "?") return actions.help;
  if (event.key === "ArrowLeft") return () => decide("left", event.shiftKey ? "strong" : "clear");
  if (event.key === "ArrowRight") return () => decide("right", event.shiftKey ? "strong" : "clear");
  if (event.shiftKey) return null;
  if (event.key === "Backspace") return actions.undo;
  const digit = /^(?:Digit|Numpad)([1-7])$/.exec(event.code) ?? /^([1-7])$/.exec(event.key);
  if (digit) return () => decide(...SCALE[digit[1] - 1]);
  // By position where the layout has other letters there (Cyrillic, Greek, ...)
  const typed = event.key.toLowerCase();
  const letter = /^[a-z]$/.test(typed) ? typed : event.code.replace("Key", "").toLowerCase();
  return LETTERS[letter] ?? null;
}

listen(window, "keydown", (event) => {
  if (event.key === "Escape" && !find(".pl-note").hidden) leaveNote();
  if (event.repeat || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target) || app.querySelector("dialog[open]")) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  action();
});

listen(app, "click", (event) => {
  const button = event.target.closest("button");
  if (event.target.matches("dialog")) event.target.close(); // a click beside it
  if (!button) return;
  // Else Enter or Space would repeat a vote made with the mouse.
  if (event.detail > 0 && !button.closest("dialog, form")) button.blur();
  if (button.dataset.choice) decide(button.dataset.choice, button.dataset.strength);
  else if (button.dataset.do) actions[button.dataset.do]();
});

for (const type of ["pointerover", "focusin"])
  listen(app, type, (event) => {
    const chosen = event.target.closest("[data-choice]")?.dataset.choice;
    app.dataset.pointing = chosen === "left" || chosen === "right" ? chosen : "";
  });

listen(document, "visibilitychange", () => {
  if (document.hidden) awaySince = performance.now();
  else if (awaySince !== null) {
    awayMs += performance.now() - awaySince;
    awaySince = null;
  }
});
listen(window, "online", () => {
  send();
  fill();
});
listen(window, "resize", () => card && fitPrompt());
page.signal.addEventListener("abort", () => {
  clearTimeout(retryTimer);
  clearTimeout(pollTimer);
});

// ---- start ------------------------------------------------------------------------------------

async function start() {
  idle("Loading", "");
  while (!page.signal.aborted) {
    try {
      me = await call("/api/me");
      break;
    } catch {
      idle("Waiting for the server", "");
      await sleep(1500);
    }
  }
  find(".pl-name").textContent = me.name;
  find(".pl-admin").hidden = me.role !== "admin";
  find(".pl-notice").textContent = me.notice;
  find(".pl-notice").hidden = !me.notice;
  send();
  await fill();
  showStatus();
  loadGuidelines();
}
start();
