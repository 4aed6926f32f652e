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
