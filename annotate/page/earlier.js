// Own earlier pairs: a panel with the newest first. Opening one puts the current pair aside, a new
// decision changes the old one, and Escape brings the current pair back.

const earlier = { open: false, cursor: null, loading: false, chosen: null };

async function toggleEarlier() {
  if (earlier.open) return closeEarlier();
  if (!me) return;
  earlier.open = true;
  find(".pl-earlier").hidden = false;
  find('[data-action="history"]').setAttribute("aria-expanded", "true");
  app.dataset.earlier = "open";
  find(".pl-earlier ol").replaceChildren();
  earlier.cursor = null;
  find(".pl-earlier-close").focus();
  await send(); // so that the last decision is in the list
  await loadEarlier();
  find(".pl-earlier li button")?.focus();
}

function closeEarlier() {
  earlier.open = false;
  find(".pl-earlier").hidden = true;
  find('[data-action="history"]').setAttribute("aria-expanded", "false");
  app.dataset.earlier = "";
}

async function loadEarlier() {
  if (earlier.loading) return;
  earlier.loading = true;
  const note = find(".pl-earlier-note");
  note.textContent = "Loading";
  try {
    const before = earlier.cursor ? "&before=" + encodeURIComponent(earlier.cursor) : "";
    const answer = await call("/api/history?count=20" + before);
    const first = !earlier.cursor;
    earlier.cursor = answer.cursor;
    const focused = document.activeElement === find('[data-do="older"]');
    const rows = answer.items.map(earlierRow);
    find(".pl-earlier ol").append(...rows);
    find('[data-do="older"]').hidden = !answer.cursor;
    if (focused) rows[0]?.querySelector("button").focus();
    const unsent = outbox().length;
    note.textContent = first && !rows.length ? "You have not judged a pair yet." : "";
    if (unsent) note.textContent = plural(unsent, "decision is", "decisions are") + " not saved yet and not in this list.";
  } catch (error) {
    note.textContent = "The list could not be loaded: " + error.message + ". Close it and open it again.";
  } finally {
    earlier.loading = false;
  }
}

function earlierRow(item) {
  const row = make("li");
  const button = make("button");
  button.type = "button";
  button.dataset.presentation = item.presentation;
  button.append(make("span", "pl-earlier-choice"), make("time"), make("span", "pl-earlier-prompt"));
  row.append(button);
  paintRow(button, item);
  return row;
}

function paintRow(button, item) {
  const [choice, time, prompt] = button.children;
  choice.textContent = wordsFor(item.choice, item.strength) + (item.changed ? " (changed)" : "");
  choice.dataset.choice = item.choice;
  if (item.at) {
    const at = utc(item.at);
    time.dateTime = at.toISOString();
    time.textContent = ago(at);
  }
  if (item.prompt !== undefined) prompt.textContent = item.prompt;
}

async function pickEarlier(presentation) {
  earlier.chosen = presentation;
  try {
    const answer = await call("/api/history/" + encodeURIComponent(presentation));
    if (earlier.chosen !== presentation || checking) return;
    openEarlier(answer.pair, answer.decision);
    if (matchMedia("(max-width: 760px)").matches) closeEarlier();
  } catch (error) {
    complain("This pair could not be opened: " + error.message);
  }
}

function openEarlier(shown, decision) {
  if (!revisit && card) parked = { card, seconds: looked() };
  show(shown, { decision });
  markRow(shown.presentation);
}

function leaveEarlier() {
  if (!revisit) return;
  earlier.chosen = null;
  card = null;
  revisit = null;
  markRow(null);
  next();
  drawAhead();
}

function markRow(presentation) {
  for (const button of findAll(".pl-earlier li button"))
    if (button.dataset.presentation === presentation) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
}

// A changed mind shows in the list at once.
function noteChange(body) {
  markRow(null);
  earlier.chosen = null;
  const row = findAll(".pl-earlier li button").find((b) => b.dataset.presentation === body.presentation);
  if (row) paintRow(row, { ...body, changed: true });
}

function earlierKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!earlier.open || !step || !find(".pl-earlier").contains(document.activeElement)) return false;
  const stops = [...findAll(".pl-earlier li button"), find('[data-do="older"]:not([hidden])')].filter(Boolean);
  const at = stops.indexOf(document.activeElement);
  stops[Math.min(stops.length - 1, Math.max(0, at + step))]?.focus();
  event.preventDefault();
  return true;
}

// What stands above the pair: an earlier decision, or that this is a qualification pair.
function showBanner() {
  const banner = find(".pl-banner");
  banner.hidden = !revisit && !card?.qualification;
  banner.querySelector("button").hidden = !revisit;
  if (revisit) {
    const { choice, strength, skip_reason: why } = revisit.decision;
    banner.querySelector("span").textContent =
      "An earlier pair. You said: " + wordsFor(choice, strength) + (why ? " (" + why + ")" : "") + ". Decide again to change it.";
  } else if (card?.qualification)
    banner.querySelector("span").textContent =
      "Qualification pair: after your decision you see what was expected and why.";
  for (const button of findAll(".pl-bar [data-choice]")) {
    const was = revisit?.decision;
    const same = was && was.choice === button.dataset.choice && (was.strength ?? "") === (button.dataset.strength ?? "");
    if (same) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}
