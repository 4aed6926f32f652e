// What others said, after one's own view: votes, other adjudicators' views, decisions, discussion.

const SAYS = { left: "Left is better", right: "Right is better", tie: "Tie", both_bad: "Both are bad", undecidable: "Can't be decided", skip: "Skipped" };
const HOW = { slight: "slightly better", clear: "better", strong: "much better" };
const FLAGS = { unclear_prompt: "unclear prompt", unsafe: "unsafe content", personal_data: "personal data", display_problem: "not displayed properly" };

const saysOf = ({ choice, strength }) =>
  strength ? SAYS[choice].replace("better", HOW[strength]) : SAYS[choice];

function timeOf(text) {
  const at = utc(text);
  const time = make("time", "", ago(at));
  time.dateTime = at.toISOString();
  time.title = at.toLocaleString();
  return time;
}

function paintVotes() {
  find(".pj-after").hidden = !revealed;
  if (!revealed) return;
  const people = revealed.votes.filter((vote) => !vote.model && vote.choice !== "skip");
  const count = (choice) => people.filter((vote) => vote.choice === choice).length;
  const sums = ["left", "right", "tie", "both_bad"].filter(count).map((choice) => SAYS[choice] + ": " + count(choice));
  find(".pj-sum").textContent = sums.join(" \u00b7 ") + (sums.length ? ". " : "") + "You said: " + saysOf(revealed.view) + ".";
  find(".pj-votes").replaceChildren(
    ...revealed.votes.map(voteCard),
    ...revealed.views.map((view) => voteCard({ ...view, labeler: view.adjudicator, kind: "adjudicator's view", rationale: view.note })),
  );
  find(".pj-trail").hidden = revealed.decisions.length < 1;
  find(".pj-trail ol").replaceChildren(...revealed.decisions.map(decisionRow));
  find(".pj-notes").replaceChildren(...revealed.notes.map(noteRow));
}

function voteCard(vote) {
  const box = make("article", "pj-vote");
  box.dataset.choice = vote.choice;
  const head = make("header");
  const kind = vote.kind ?? (vote.model ? "model" : "");
  head.append(make("b", "", vote.labeler), make("span", "pj-kind", kind), timeOf(vote.at));
  box.append(head, make("p", "pj-said", saysOf(vote) + (vote.changed ? " (changed)" : "")));
  if (vote.rationale) box.append(make("blockquote", "", vote.rationale));
  const facts = [];
  for (const flag of vote.flags ?? []) facts.push("flag: " + (FLAGS[flag] ?? flag));
  for (const [name, value] of Object.entries(vote.criteria ?? {})) facts.push(name.replaceAll("_", " ") + ": " + value);
  if (vote.seconds !== undefined && !vote.model) facts.push("took " + vote.seconds.toFixed(1) + " s");
  if (vote.guideline) facts.push("guidelines version " + vote.guideline);
  box.append(make("p", "pj-facts", facts.join(" \u00b7 ")));
  if (vote.edited_html) {
    const edited = make("details");
    edited.append(make("summary", "", "The better answer, edited by them"));
    const text = make("div");
    text.innerHTML = vote.edited_html; // the server's renderer made it
    edited.append(text);
    box.append(edited);
  }
  return box;
}

function decisionRow(one) {
  const row = make("li");
  const what = one.withdrawn ? "took it back" : SAYS[one.choice] + ", " + CAUSES[one.cause];
  row.append(make("b", "", one.by), make("span", "", what), timeOf(one.at));
  if (one.note && !one.withdrawn) row.append(make("p", "", one.note));
  return row;
}

function noteRow(one) {
  const row = make("li");
  row.append(make("b", "", one.author), timeOf(one.at), make("p", "", one.text));
  return row;
}
