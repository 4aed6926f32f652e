// The labeling page. `element` is the gr.HTML component's element; label.html stands in it.
// Cards come from GET /api/pairs, four ahead; a decision goes into the outbox (localStorage, one
// entry each, under the labeler's name) and from there to POST /api/judgments. It leaves the
// outbox when the server has acknowledged or refused it, so a lost connection loses nothing.

const AHEAD = 4;
const POLL_MS = 4000;
const GUARD_MS = 150; // a second key this soon was meant for the card before

if (window.pairloopPage) window.pairloopPage.abort(); // a remount runs this file again
const page = (window.pairloopPage = new AbortController());

const app = element.querySelector(".pl-app");
const find = (selector) => app.querySelector(selector);
const listen = (target, type, handler) =>
  target.addEventListener(type, handler, { signal: page.signal });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const cards = (n) => (n === 1 ? "1 pair" : n + " pairs");

let me = null; // who is signed in
let card = null; // the pair on the screen
let buffer = []; // the pairs behind it
let judged = new Map(); // decision key -> its card, to undo what was not sent yet
let progress = null;
let shownAt = 0;
let awayMs = 0; // time the tab was hidden while this card was up
let awaySince = null;
let raw = false;
let filling = false;
let sending = false;
let undoing = false;
let leaving = false;
let failures = 0; // sends that failed in a row
let retryTimer = null;
let pollTimer = null;
let guidelines = null;

// ---- the outbox -------------------------------------------------------------------------------

const unkept = new Map(); // where localStorage is full or forbidden
const prefix = () => "pairloop:outbox:" + me.name + ":";
let sequence = 0;

function outbox() {
  const names = [...unkept.keys()];
  try {
    for (let i = 0; i < localStorage.length; i++) {
      const name = localStorage.key(i);
      if (name.startsWith(prefix())) names.push(name);
    }
  } catch {
    // no localStorage: the entries of this page are all there is
  }
  return [...new Set(names)].sort();
}

function readEntry(name) {
  try {
    return JSON.parse(unkept.get(name) ?? localStorage.getItem(name));
  } catch {
    return null;
  }
}

function writeEntry(name, entry) {
  const text = JSON.stringify(entry);
  try {
    localStorage.setItem(name, text);
  } catch {
    unkept.set(name, text);
  }
}

function dropEntry(name) {
  unkept.delete(name);
  try {
    localStorage.removeItem(name);
  } catch {
    // it was in `unkept` only
  }
}

function newKey() {
  // crypto.randomUUID is missing on plain http, where a small team may well run this
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
}

// ---- talking to the server --------------------------------------------------------------------

class Refused extends Error {} // 4xx: trying again would not help

async function call(path, body) {
  const request = {
    headers: { Accept: "application/json" },
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(20000),
  };
  if (body !== undefined) {
    request.method = "POST";
    request.headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  const answer = await fetch(path, request);
  if (answer.status === 401) {
    if (!leaving) location.assign("/login?again");
    leaving = true;
    await new Promise(() => {}); // the outbox stays; nothing more happens on this page
  }
  const data = await answer.json();
  if (answer.ok) return data;
  const message = typeof data.detail === "string" ? data.detail : "error " + answer.status;
  const later = answer.status >= 500 || answer.status === 408 || answer.status === 429;
  throw later ? new Error(message) : new Refused(message);
}

async function send() {
  if (sending || !me) return;
  sending = true;
  clearTimeout(retryTimer);
  try {
    for (let names = outbox(); names.length; names = outbox()) {
      const entry = readEntry(names[0]);
      if (!entry) {
        dropEntry(names[0]);
        continue;
      }
      if (!entry.tried) writeEntry(names[0], { ...entry, tried: true });
      try {
        const answer = await call("/api/judgments", entry.body);
        dropEntry(names[0]);
        failures = 0;
        progress = answer.progress;
      } catch (error) {
        if (!(error instanceof Refused)) {
          failures += 1;
          retryTimer = setTimeout(send, Math.min(1000 * failures, 8000));
          return;
        }
        dropEntry(names[0]);
        judged.delete(entry.body.key);
        complain("One decision was not stored: " + error.message);
      }
      showProgress();
    }
  } finally {
    sending = false;
    showStatus();
  }
}

async function fill() {
  if (filling || buffer.length >= AHEAD) return;
  filling = true;
  clearTimeout(pollTimer);
  const held = () => {
    const unsent = me ? outbox().map((name) => readEntry(name)?.body.presentation) : [];
    return new Set([card?.presentation, ...buffer.map((c) => c.presentation), ...unsent]);
  };
  try {
    const have = [...held()].filter(Boolean).map(encodeURIComponent).join(",");
    const answer = await call("/api/pairs?count=" + (AHEAD - buffer.length) + "&have=" + have);
    const known = held();
    buffer.push(...answer.pairs.filter((c) => !known.has(c.presentation)));
    if (!outbox().length) progress = answer.progress;
    if (!card) next();
    showProgress();
    if (!card) pollTimer = setTimeout(fill, POLL_MS);
    if (!card) idle("Nothing to label right now", "New pairs show up here by themselves.");
  } catch (error) {
    if (page.signal.aborted) return;
    pollTimer = setTimeout(fill, 2000);
    if (!card) idle("Waiting for the server", "Your decisions are kept in this browser.");
  } finally {
    filling = false;
  }
}

// ---- deciding ---------------------------------------------------------------------------------

function decide(choice, strength) {
  if (!card || undoing || performance.now() - shownAt < GUARD_MS) return;
  const key = newKey();
  const flags = [...app.querySelectorAll(".pl-flags input:checked")].map((box) => box.value);
  const body = {
    key,
    presentation: card.presentation,
    choice,
    strength: strength || null,
    seconds: Math.max(0, (performance.now() - shownAt - awayMs) / 1000),
    rationale: find("#pl-note-text").value,
    flags,
  };
  sequence += 1;
  const order = String(Date.now()).padStart(15, "0") + String(sequence).padStart(6, "0");
  writeEntry(prefix() + order + ":" + key, { body, tried: false });
  judged.set(key, card);
  if (judged.size > 50) judged.delete(judged.keys().next().value);
  card = null;
  next();
  showProgress();
  send();
  showStatus();
  fill();
}

async function undo() {
  if (undoing) {
    undoing = false; // a second press stops waiting
    showStatus();
    return;
  }
  if (!me) return;
  const last = outbox().at(-1);
  const entry = last && readEntry(last);
  if (entry && !entry.tried && judged.has(entry.body.key)) {
    dropEntry(last); // never left this browser
    back(judged.get(entry.body.key));
    return;
  }
  undoing = true;
  showStatus();
  const key = newKey();
  try {
    while (undoing) {
      await send();
      if (outbox().length) {
        await sleep(200);
        continue;
      }
      try {
        const answer = await call("/api/undo", { key });
        progress = answer.progress;
        if (answer.pair) back(answer.pair);
        else say("Nothing to undo", "quiet");
        if (!answer.pair) await sleep(1200);
        break;
      } catch (error) {
        if (error instanceof Refused) {
          complain("Not undone: " + error.message);
          break;
        }
        await sleep(1000);
      }
    }
  } finally {
    undoing = false;
    showProgress();
    showStatus();
  }
}

function back(undone) {
  buffer = buffer.filter((c) => c.presentation !== undone.presentation);
  if (card && card.presentation !== undone.presentation) buffer.unshift(card);
  show(undone);
  showProgress();
  showStatus();
}

// ---- what is on the screen --------------------------------------------------------------------

function next() {
  const following = buffer.shift();
  if (following) show(following);
  else idle("Loading", "");
}

function show(shown) {
  card = shown;
  draw();
  app.dataset.state = "ready";
  find("#pl-note-text").value = "";
  app.querySelectorAll(".pl-flags input").forEach((box) => (box.checked = false));
  openNote(false);
  window.scrollTo(0, 0);
  for (const target of [find(".pl-answers"), find(".pl-prompt-body")]) {
    target.getAnimations().forEach((a) => a.cancel());
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches)
      target.animate([{ opacity: 0.25 }, { opacity: 1 }], { duration: 140, easing: "ease-out" });
  }
  awayMs = 0;
  awaySince = document.hidden ? performance.now() : null;
  shownAt = performance.now();
}

// The html fields are made by the server's renderer, which lets no markup of a model through.
function draw() {
  fillWith(find(".pl-prompt-body"), card.prompt_html, card.prompt_text);
  fillWith(find('[data-side="left"] .pl-body'), card.left_html, card.left_text);
  fillWith(find('[data-side="right"] .pl-body'), card.right_html, card.right_text);
  find(".pl-prompt").classList.remove("pl-whole");
  fitPrompt();
}

// Long conversations are folded to the last turns; the button shows the rest.
function fitPrompt() {
  const body = find(".pl-prompt-body");
  const more = find('[data-do="more"]');
  const whole = find(".pl-prompt").classList.contains("pl-whole");
  more.hidden = !whole && body.scrollHeight <= body.clientHeight + 4;
  more.textContent = whole ? "Fold the conversation" : "Show the whole conversation";
  if (!whole) body.scrollTop = body.querySelector(".pl-many") ? body.scrollHeight : 0;
}

function fillWith(target, html, text) {
  if (!raw) {
    target.innerHTML = html;
    return;
  }
  const plain = document.createElement("pre");
  plain.className = "pl-source";
  plain.dir = "auto";
  plain.textContent = text;
  target.replaceChildren(plain);
}

function idle(title, text) {
  app.dataset.state = "idle";
  find(".pl-idle h2").textContent = title;
  find(".pl-idle p").textContent = text;
  find(".pl-idle button").hidden = !progress?.judged && !judged.size;
}

function showProgress() {
  if (!progress) return;
  const unsent = me ? outbox().length : 0;
  const done = progress.judged + unsent;
  const left = Math.max(0, progress.left - unsent);
  const share = done + left ? Math.round((100 * done) / (done + left)) : 0;
  find(".pl-count").textContent = done + " judged, " + left + " to go";
  find(".pl-meter").setAttribute("aria-valuenow", share);
  find(".pl-meter > div").style.width = share + "%";
}

function showStatus() {
  const unsent = me ? outbox().length : 0;
  if (undoing && unsent) say("Undo waits for " + unsent + " unsent", "busy");
  else if (undoing) say("Undoing", "busy");
  else if (failures && unsent) say(unsent + " unsent, retrying", "late");
  else if (unsent) say("Saving", "busy");
  else if (judged.size || progress?.judged) say("Saved", "good");
  else say("", "quiet");
}

function say(text, kind) {
  const status = find(".pl-status");
  if (status.textContent !== text) status.textContent = text;
  status.dataset.kind = kind;
}

function complain(message) {
  const row = document.createElement("div");
  const text = document.createElement("span");
  const close = document.createElement("button");
  text.textContent = message;
  close.type = "button";
  close.textContent = "Dismiss";
  close.addEventListener("click", () => row.remove());
  row.append(text, close);
  find(".pl-errors").append(row);
}

function openNote(open) {
  find(".pl-note").hidden = !open; // what is hidden loses the focus by itself
  find('[data-do="note"]').setAttribute("aria-expanded", open);
  if (open) find("#pl-note-text").focus();
}

// The first Escape leaves the field, so that keys decide again; the second folds the note.
function leaveNote() {
  if (find(".pl-note").contains(document.activeElement)) document.activeElement.blur();
  else openNote(false);
}

function openDialog(name) {
  const dialog = find('[data-dialog="' + name + '"]');
  if (!dialog.open) dialog.showModal();
}

async function loadGuidelines() {
  try {
    guidelines = await call("/api/guidelines");
  } catch {
    return;
  }
  find(".pl-guidelines").innerHTML = guidelines.html;
  let read = null;
  try {
    read = localStorage.getItem("pairloop:guidelines:" + me.name);
  } catch {
    // then they count as unread
  }
  find('[data-do="guidelines"]').classList.toggle("pl-unread", read !== guidelines.version);
}

const actions = {
  undo,
  note: () => openNote(find(".pl-note").hidden),
  more: () => {
    find(".pl-prompt").classList.toggle("pl-whole");
    fitPrompt();
  },
  raw: () => {
    raw = !raw;
    find('[data-do="raw"]').setAttribute("aria-pressed", raw);
    if (card) draw();
  },
  help: () => openDialog("help"),
  guidelines: () => {
    openDialog("guidelines");
    find('[data-do="guidelines"]').classList.remove("pl-unread");
    try {
      localStorage.setItem("pairloop:guidelines:" + me.name, guidelines.version);
    } catch {
      // the mark comes back next time
    }
  },
};

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
