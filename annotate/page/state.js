// The labeling page. `element` is the place that Gradio drew; label.html stands in it.
// The files are joined in the order of label_page.SCRIPTS and share one scope; no text of a model
// is ever inserted as HTML but the *_html fields, which the server's renderer makes harmless.

const AHEAD = 4; // cards that wait, drawn already, behind the one on the screen
const POLL_MS = 4000;
const HEARTBEAT_MS = 20000;
const GUARD_MS = 150; // a second key this soon was meant for the card before
const LONG_CHARS = 12000; // a longer text is laid out in pieces, as they come into sight
const PIECE_CHARS = 4000;

if (window.pairloopPage) window.pairloopPage.abort(); // a remount runs this file again
const page = (window.pairloopPage = new AbortController());

const app = element.querySelector(".pl-app");
const find = (selector) => app.querySelector(selector);
const findAll = (selector) => [...app.querySelectorAll(selector)];
const listen = (target, type, handler) =>
  target.addEventListener(type, handler, { signal: page.signal });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const plural = (n, one, many) => n + " " + (n === 1 ? one : many);

let me = null; // who is signed in, and what the workspace asks
let card = null; // the pair on the screen
let buffer = []; // the pairs behind it
let revisit = null; // {card, decision}: an earlier pair is on the screen instead of `parked`
let parked = null; // {card, seconds} of the pair that waits meanwhile
let judged = new Map(); // decision key -> {card, again}, to undo what was not sent yet
let progress = null;
let deskState = "open"; // why there may be no pairs: see idleScreen
let guidelines = null;
let newestGuideline = ""; // the version the server told of last

let shownAt = 0;
let awayMs = 0; // time the tab was hidden while this card was up
let awaySince = null;
let raw = false;
let marking = false; // word differences are marked
let undoing = false;
let checking = null; // key of the qualification decision whose answer is waited for

// A small value of this person's, kept in this browser only.
function remember(name, value) {
  try {
    localStorage.setItem("pairloop:" + name + ":" + me.name, JSON.stringify(value));
  } catch {
    // then it holds until the page is left
  }
}

function recall(name) {
  try {
    return JSON.parse(localStorage.getItem("pairloop:" + name + ":" + me.name));
  } catch {
    return null;
  }
}

// An element with text, never with markup.
function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// The server's times are UTC without saying so.
const utc = (text) => new Date(/Z|[+-]\d\d:\d\d$/.test(text) ? text : text + "Z");

function ago(at) {
  const minutes = Math.round((Date.now() - at) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return minutes + " min ago";
  if (minutes < 24 * 60) return Math.round(minutes / 60) + " h ago";
  return at.toLocaleDateString();
}

// Seconds this person has looked at the card on the screen.
const looked = () => {
  const away = awayMs + (awaySince === null ? 0 : performance.now() - awaySince);
  return Math.max(0, (performance.now() - shownAt - away) / 1000);
};
