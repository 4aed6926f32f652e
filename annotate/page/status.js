// What the page says: progress, saving, errors, and why there may be nothing to do.

const IDLE = {
  open: ["Nothing to label right now", "New pairs show up here by themselves."],
  empty: ["Nothing to label right now", "New pairs show up here by themselves."],
  qualifying: ["Nothing to label right now", "New pairs show up here by themselves."],
  paused: ["You are paused", "Whoever leads this project has paused your labeling. What you decided is kept, and it goes on here by itself."],
  limit: ["That's all for now", "You have reached your limit of pairs. Thank you! It goes on here by itself when there is more for you."],
  not_qualified: ["Thank you for taking part", "Your answers in the qualification pairs differed too often from what was expected, so there are no further pairs for you. Whoever leads this project can change that."],
};

function idle(title, text) {
  app.dataset.state = "idle";
  const view = find(".pl-view.pl-now");
  if (view && !card && !checking) {
    view.remove();
    views.delete(view.dataset.of);
  }
  find(".pl-banner").hidden = true;
  find(".pl-idle h2").textContent = title;
  find(".pl-idle p").textContent = text;
  find(".pl-idle button").hidden = !progress?.judged && !judged.size;
}

function idleScreen() {
  if (filling && deskState === "open") idle("Loading", "");
  else idle(...(IDLE[deskState] ?? IDLE.open));
}

function showProgress() {
  if (!progress) return;
  const unsent = outbox().filter((name) => !readEntry(name)?.again).length;
  const done = progress.judged + unsent;
  const left = Math.max(0, progress.left - unsent);
  const share = done + left ? Math.round((100 * done) / (done + left)) : 0;
  find(".pl-count").textContent = done + " judged, " + left + " to go";
  find(".pl-meter").setAttribute("aria-valuenow", share);
  find(".pl-meter").setAttribute("aria-valuetext", find(".pl-count").textContent);
  find(".pl-meter > div").style.width = share + "%";
  const pace = [];
  if (progress.today) pace.push(progress.today + unsent + " today");
  if (progress.seconds_left && left) pace.push("about " + duration(progress.seconds_left) + " left");
  if (progress.limit_left !== null && progress.limit_left !== undefined)
    pace.push(Math.max(0, progress.limit_left - unsent) + " until your limit");
  if (progress.agreement && progress.agreement.value !== null)
    pace.push("you agree with others in " + Math.round(100 * progress.agreement.value) + " %");
  const shown = find(".pl-pace");
  if (shown.textContent !== pace.join("")) shown.replaceChildren(...pace.map((text) => make("span", "", text)));
}

function duration(seconds) {
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (minutes < 90) return minutes + " min";
  return (minutes < 600 ? (minutes / 60).toFixed(1) : Math.round(minutes / 60)) + " h";
}

function showStatus() {
  const unsent = outbox().length;
  if (undoing && unsent) say("Undo waits for " + unsent + " unsent", "busy");
  else if (undoing) say("Undoing", "busy");
  else if (failures && unsent) say(unsent + " unsent, retrying", "late");
  else if (checking) say("Checking", "busy");
  else if (unsent) say("Saving", "busy");
  else if (judged.size || progress?.judged) say("Saved", "good");
  else say("", "quiet");
}

// ---- guidelines -------------------------------------------------------------------------------

const wide = matchMedia("(min-width: 1360px)");

async function loadGuidelines() {
  try {
    guidelines = await call("/api/guidelines");
  } catch {
    return;
  }
  newestGuideline = guidelines.version;
  find(".pl-guidelines").innerHTML = guidelines.html; // made by the server's renderer
  const at = guidelines.changed_at && utc(guidelines.changed_at);
  find(".pl-guide-at").textContent = at ? "Last changed " + at.toLocaleDateString() : "";
  paintGuidelines();
}

function paintGuidelines() {
  const read = recall("guidelines");
  const unread = Boolean(guidelines?.version) && read !== guidelines.version;
  const badge = find('[data-action="guidelines"] .pl-badge');
  badge.hidden = !unread;
  badge.textContent = read ? "changed" : "new";
  const dialog = find('[data-dialog="guidelines"]');
  if (unread && read && dialog.open) announce("The guidelines have changed.");
}

// Beside the answers where there is room, else as a dialog over them.
function toggleGuidelines() {
  const dialog = find('[data-dialog="guidelines"]');
  if (dialog.open) return dialog.close();
  const focused = document.activeElement;
  if (wide.matches) {
    dialog.show();
    app.dataset.guide = "open";
    focused?.focus?.();
    if (document.activeElement === dialog || dialog.contains(document.activeElement)) document.activeElement.blur();
    remember("guide", true);
  } else dialog.showModal();
  if (guidelines) remember("guidelines", guidelines.version);
  paintGuidelines();
  refit();
}

function guidelinesClosed() {
  if (app.dataset.guide === "open") remember("guide", false);
  app.dataset.guide = "";
  if (guidelines) remember("guidelines", guidelines.version);
  paintGuidelines();
  refit();
}
