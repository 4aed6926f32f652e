// The list of cases: the most disputed first, each with how far people are apart, never with what
// they said.

const FILTERS = [
  ["open", "Open"],
  ["no_majority", "No majority"],
  ["disagreement", "Votes differ"],
  ["contested", "Contested"],
  ["flagged", "Flagged"],
  ["done", "Done"],
];
const KINDS = {
  no_majority: "no majority",
  disagreement: "votes differ",
  contested: "settled, contested",
  flagged: "flagged",
};
const LIST_MS = 20000;
let filter = "open";
let cases = [];
let nextCases = null; // where the next page begins
let place = 0; // of the case on the screen, or where it was
let listTimer = null;
let linked = new URLSearchParams(location.search).get("pair"); // the case a link leads to

const casesPath = (skip) => "/api/adjudication/cases?count=100&show=" + filter + "&skip=" + skip;

async function loadCases() {
  clearTimeout(listTimer);
  listTimer = setTimeout(() => document.hidden || loadCases(), LIST_MS);
  const asked = filter;
  let answer;
  try {
    answer = await call(casesPath(0));
  } catch (error) {
    say("The list is old: " + error.message, "late");
    return;
  }
  if (asked !== filter) return;
  cases = answer.items;
  nextCases = answer.next;
  paintCases(answer.counts);
  if (!card && linked) {
    const pair = linked;
    linked = null;
    await openCase(pair);
  }
  if (!card && cases.length) await step(0);
  else if (!card) nothingOpen();
}

async function moreCases() {
  const answer = await call(casesPath(nextCases));
  cases.push(...answer.items);
  nextCases = answer.next;
  paintCases(answer.counts);
}

function paintCases(counts) {
  const buttons = FILTERS.map(([id, name]) => {
    const button = make("button", "", name + " ");
    button.type = "button";
    button.dataset.filter = id;
    button.setAttribute("aria-pressed", id === filter);
    button.append(make("span", "", String(counts[id])));
    return button;
  });
  const focused = document.activeElement?.dataset ?? {};
  find(".pj-filters").replaceChildren(...buttons);
  find(".pj-cases ol").replaceChildren(...cases.map(caseRow));
  find('[data-do="more-cases"]').hidden = nextCases === null;
  find(".pj-none").hidden = cases.length > 0;
  find(".pj-none").textContent = filter === "done" ? "No case is decided yet." : "No case is like this.";
  find(".pl-count").textContent = plural(counts.open, "open case", "open cases") + ", " + counts.done + " decided";
  if (focused.filter) find('[data-filter="' + focused.filter + '"]')?.focus();
  if (focused.case) find('[data-case="' + focused.case + '"]')?.focus();
  const at = cases.findIndex((one) => one.pair === card?.presentation);
  if (at >= 0) place = at;
}

function caseRow(one) {
  const row = make("li");
  const button = make("button");
  button.type = "button";
  button.dataset.case = one.pair;
  if (one.pair === card?.presentation) button.setAttribute("aria-current", "true");
  const about = [];
  if (one.decided_by) about.push("decided by " + one.decided_by);
  else if (one.kind) about.push(KINDS[one.kind]);
  if (one.flags && one.kind !== "flagged") about.push(plural(one.flags, "flag", "flags"));
  if (one.purpose === "evaluation") about.push("comparison");
  if (one.labeled) about.push("you labeled it");
  if (one.held_by) about.push("with " + one.held_by);
  const split = make("span", "pj-split", one.split.length === 1 ? one.split[0] + " alike" : one.split.join(" : "));
  split.setAttribute("aria-label", "votes " + one.split.join(" to "));
  split.setAttribute("role", "img");
  const meter = make("i", "pj-dispute");
  meter.style.setProperty("--dispute", one.dispute);
  button.append(split, make("span", "pj-kind", about.join(" \u00b7 ")), meter, make("span", "pj-prompt", one.prompt));
  row.append(button);
  return row;
}

// The next or previous case that nobody else is at; 0: the one where we are. A decided case has left
// the list of open ones, so the next one stands at its place.
async function step(by) {
  if (!cases.length) return announce("There is no other case here.");
  const here = cases.findIndex((one) => one.pair === card?.presentation);
  let at = here >= 0 ? here + by : by < 0 ? place - 1 : place;
  while (cases[at]?.held_by) at += by || 1;
  if (!cases[at] || at === here) return announce(by < 0 ? "This is the first case." : "This is the last case.");
  place = at;
  await openCase(cases[at].pair);
}

async function choosePart(part) {
  filter = part;
  await loadCases();
}

const nextFilter = () => choosePart(FILTERS[(FILTERS.findIndex(([id]) => id === filter) + 1) % FILTERS.length][0]);

function nothingOpen() {
  app.dataset.state = "idle";
  find(".pl-idle h2").textContent = "No open case";
  find(".pl-idle p").textContent = "Pairs that people disagree on show up here by themselves.";
}
