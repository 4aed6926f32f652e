// Keys, clicks and the start.

function toggleRaw() {
  raw = !raw;
  find('[data-action="raw"]').setAttribute("aria-pressed", raw);
  redraw();
}

function toggleMarks() {
  marking = !marking;
  find('[data-action="marks"]').setAttribute("aria-pressed", marking);
  redraw();
  announce(marking && card ? views.get(card.presentation).dataset.marks : "");
}

function openDialog(name) {
  const dialog = find('[data-dialog="' + name + '"]');
  if (!dialog.open) dialog.showModal();
}

const pointing = {
  undo: () => undo(),
  more: () => {
    const view = find(".pl-view.pl-now");
    view.classList.toggle("pl-whole");
    view.dataset.fitted = "";
    fit(view);
  },
  older: () => loadEarlier(),
  "close-earlier": () => closeEarlier(),
  "leave-earlier": () => leaveEarlier(),
  "reset-keys": () => resetKeys(),
  "send-extra": () => sendExtra(),
  "close-extra": () => closeExtra(),
};

// Escape, from the innermost to the outermost.
function escape() {
  if (openMenu) closeMenu();
  else if (extra.mode) leaveExtra();
  else if (revisit) leaveEarlier();
  else if (earlier.open) closeEarlier();
}

// In the panel Enter sends, but for a button, where it presses that one.
function enterSends(event) {
  if (event.key !== "Enter" || extra.mode !== "decide") return false;
  const at = document.activeElement;
  const inside = find(".pl-extra").contains(at);
  const surely = event.ctrlKey || event.metaKey;
  if (isTyping(at) && !surely) return false;
  if (!surely && at.closest?.("button, summary, a") && !(inside && at.closest(".pl-send"))) return false;
  event.preventDefault();
  if (at.dataset?.do === "close-extra") closeExtra();
  else sendExtra();
  return true;
}

listen(window, "keydown", (event) => {
  if (changing) return takeKey(event);
  if (event.isComposing) return;
  const modal = app.querySelector("dialog:modal");
  if (event.key === "Escape" && !modal) return escape();
  if (modal || event.repeat || !me) return;
  if (enterSends(event)) return;
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (menuKey(event) || answerByArrow(event) || earlierKey(event)) return;
  const action = keymap.get(keyName(event));
  if (!action) return;
  event.preventDefault();
  action.run();
});

listen(app, "click", (event) => {
  if (event.target.matches("dialog:modal")) return event.target.close(); // a click beside it
  const button = event.target.closest("button");
  if (!button) return;
  // Else Enter or Space would repeat a vote made with the mouse.
  if (event.detail > 0 && !button.closest("dialog, form, .pl-earlier")) button.blur();
  const { action, reason, change, copy, presentation } = button.dataset;
  if (action) actionsById.get(action).run();
  else if (reason !== undefined) skipFor(reason);
  else if (change) askForKey(change);
  else if (copy) copyCard(copy);
  else if (presentation) pickEarlier(presentation);
  else if (button.matches(".pl-chip")) toggleReason(button);
  else if (button.dataset.do) pointing[button.dataset.do]();
});

listen(app, "change", (event) => {
  if (event.target.closest(".pl-flags")) paintFlags();
});
listen(find("#pl-note-text"), "input", paintChips);
listen(find('[data-dialog="guidelines"]'), "close", guidelinesClosed);
listen(find('[data-dialog="feedback"]'), "close", feedbackRead);
listen(find('[data-dialog="help"]'), "close", () => {
  changing = null;
  sayKeys("");
  paintKeys();
});

for (const type of ["pointerover", "focusin"])
  listen(app, type, (event) => {
    const chosen = event.target.closest(".pl-bar [data-choice]")?.dataset.choice;
    const side = chosen === "left" || chosen === "right" ? chosen : "";
    if (app.dataset.pointing !== side) app.dataset.pointing = side;
  });

listen(document, "visibilitychange", () => {
  if (document.hidden) awaySince = performance.now();
  else {
    if (awaySince !== null) awayMs += performance.now() - awaySince;
    awaySince = null;
    heartbeat();
  }
});
listen(window, "online", () => {
  send();
  fill();
});
let resized = null;
listen(window, "resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => {
    refit();
    roomForBar();
  }, 120);
});
page.signal.addEventListener("abort", () => {
  [retryTimer, pollTimer, toastTimer, resized].forEach(clearTimeout);
  clearInterval(heartbeatTimer);
  channel?.close();
});

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
  showLinks();
  find(".pl-notice").textContent = me.notice;
  find(".pl-notice").hidden = !me.notice;
  buildExtra();
  loadKeys();
  joinTabs();
  send();
  await fill();
  showStatus();
  roomForBar();
  await loadGuidelines();
  // Nobody should begin without them: where there is room they are open at the first visit.
  if (wide.matches && (recall("guide") ?? Boolean(guidelines?.version))) toggleGuidelines();
}
start();
