// One case: own view, then the votes, then the decision. Nothing is shown as stored before it is.

let opened = null; // the case as everybody may see it
let revealed = null; // what was said, once the own view is stored
let pending = { choice: null, cause: null };
let busy = false; // choices made meanwhile were meant for what was on the screen: they are dropped
let line = Promise.resolve(); // what is being done, and what waits for it
let lastDecided = null; // the pair decided last on this page, to take it back
const keys = new Map(); // what is being sent -> its key, so that a second try is the same request

const phase = () => (!revealed ? "view" : revealed.decision ? "done" : "decide");
const casePath = (what = "") => "/api/adjudication/cases/" + encodeURIComponent(card.presentation) + what;

// One after the other, in the order of the keys; false where it failed, which is said.
function attempt(what, work) {
  const run = async () => {
    busy = true;
    say(what, "busy");
    try {
      await work();
      return true;
    } catch (error) {
      complain(error.message + (error instanceof Refused ? "" : " Press the key again."));
      return false;
    } finally {
      busy = false;
      say("", "quiet");
    }
  };
  line = line.then(run);
  return line;
}

// The same request again has the same key, another one a new key.
async function post(path, body, name = path + JSON.stringify(body)) {
  if (!keys.has(name)) keys.set(name, newKey());
  const answer = await call(path, { key: keys.get(name), ...body });
  keys.delete(name);
  return answer;
}

async function openCase(pair) {
  await attempt("Loading", async () => {
    const found = await call("/api/adjudication/cases/" + encodeURIComponent(pair));
    opened = found;
    card = found.pair;
    revealed = found.view ? await call(casePath("/votes")) : null;
    showCase();
  });
}

function showCase() {
  app.dataset.state = "ready";
  find(".pl-view")?.remove();
  const view = find("template").content.firstElementChild.cloneNode(true);
  view.classList.add("pl-now");
  find(".pl-work").append(view);
  drawView(view, card);
  fit(view);
  window.scrollTo(0, 0);
  shownAt = performance.now();
  awayMs = 0;
  awaySince = document.hidden ? shownAt : null;
  find("#pj-discuss").value = "";
  paintPhase();
  for (const button of findAll(".pj-cases [data-case]"))
    if (button.dataset.case === card.presentation) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  find('.pj-cases [aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}

const STEPS = {
  view: ["Your own view", "The votes show after it. It is given once."],
  decide: ["The decision", "A number and a letter, in either order."],
  done: ["Decided", ""],
};

function paintPhase() {
  const now = phase();
  app.dataset.phase = now;
  pending = { choice: null, cause: null };
  const decision = revealed?.decision;
  find(".pj-step b").textContent = STEPS[now][0];
  find(".pj-step span").textContent = decision
    ? SAYS[decision.choice] + ", " + CAUSES[decision.cause] + ", by " + decision.by + goldWords() + ". A number and a letter change it."
    : STEPS[now][1];
  find("#pl-note-text").value = decision?.note ?? "";
  find(".pj-note label").textContent = now === "view" ? "Your note (optional)" : "Why so? It explains the gold pair and the example (optional)";
  showNote(Boolean(decision?.note));
  const why = [];
  if (opened.labeled) why.push("You labeled this pair yourself.");
  if (opened.held_by) why.push(opened.held_by + " is at this case.");
  if (now === "view" && opened.notes) why.push(plural(opened.notes, "note was", "notes were") + " written beside it.");
  find(".pl-banner").hidden = !why.length;
  find(".pl-banner span").textContent = why.join(" ");
  for (const id of ["gold", "example"]) find('[data-action="' + id + '"]').disabled = now !== "done";
  paintPending();
  paintVotes();
  roomForBar();
}

const goldWords = () => (revealed.gold ? " (" + revealed.gold + " gold)" : "");

function paintPending() {
  const { choice, cause } = pending;
  const decided = revealed?.decision;
  const fresh = !choice && !cause;
  for (const button of findAll("[data-choice]"))
    button.setAttribute("aria-pressed", button.dataset.choice === (fresh ? decided?.choice : choice));
  for (const button of findAll("[data-cause]"))
    button.setAttribute("aria-pressed", button.dataset.cause === (fresh ? decided?.cause : cause));
  app.dataset.picked = choice ?? "";
}

async function choose(choice, strength = null) {
  if (!card || busy) return;
  if (phase() !== "view") {
    pending.choice = choice;
    paintPending();
    if (!pending.cause) announce("And why did people disagree? A letter says so.");
    return decideIfWhole();
  }
  if (choice === "undecidable") return announce("First your own view: 1 to 4.");
  const seconds = Math.min(86400, Math.round(looked() * 1000) / 1000);
  const body = { choice, strength, note: find("#pl-note-text").value, seconds };
  await attempt("Saving", async () => {
    revealed = await post(casePath("/view"), body, casePath("/view") + choice + strength);
    paintPhase();
    find(".pj-after").scrollIntoView({ block: "nearest" });
    announce("Your view is stored. Here is what the others said.");
  });
}

function blame(cause) {
  if (!card || busy) return;
  if (phase() === "view") return announce("First your own view: 1 to 4.");
  pending.cause = cause;
  paintPending();
  if (!pending.choice) announce("And the decision? 1 to 5.");
  decideIfWhole();
}

async function decideIfWhole() {
  if (!pending.choice || !pending.cause) return;
  const done = await attempt("Saving", async () => {
    revealed = await post(casePath("/decision"), { ...pending, note: find("#pl-note-text").value });
    lastDecided = card.presentation;
    paintPhase();
    announce("Decided. J is the next case.");
  });
  if (done) await loadCases();
}

async function undo() {
  if (!me || busy) return;
  if (card && phase() !== "done" && lastDecided) await openCase(lastDecided);
  if (!card || phase() !== "done") return announce("Nothing to take back.");
  const done = await attempt("Saving", async () => {
    revealed = await post(casePath("/undo"), {});
    lastDecided = null;
    paintPhase();
    announce("Taken back: the pair is up to its votes again.");
  });
  if (done) await loadCases();
}

async function makeGold(use) {
  await attempt("Saving", async () => {
    if (!card || phase() !== "done") return announce("Decide the case first.");
    await call(casePath("/gold"), { use });
    revealed = await call(casePath("/votes"));
    paintPhase();
    announce(use === "hidden" ? "It is a hidden gold pair now." : "It is a qualification pair now.");
  });
}

async function makeExample() {
  await attempt("Saving", async () => {
    if (!card || phase() !== "done") return announce("Decide the case first.");
    const made = await call(casePath("/example"), {});
    announce("It is an example in the guidelines, version " + made.number + ".");
  });
}

function showNote(open) {
  find(".pj-note").hidden = !open;
  find('[data-action="note"]').setAttribute("aria-expanded", String(open));
  roomForBar();
}

function toggleNote() {
  if (!card) return;
  const opening = find(".pj-note").hidden;
  showNote(opening);
  if (opening) find("#pl-note-text").focus();
}

function discuss() {
  if (!revealed) return announce("First your own view: 1 to 4.");
  find("#pj-discuss").scrollIntoView({ block: "center" });
  find("#pj-discuss").focus();
}

async function sendDiscussion() {
  const text = find("#pj-discuss").value.trim();
  if (!text) return;
  await attempt("Saving", async () => {
    await post(casePath("/notes"), { text });
    find("#pj-discuss").value = "";
    revealed.notes = (await call(casePath("/votes"))).notes;
    paintVotes();
    announce("Your note is stored.");
  });
}
