// Decisions, undo and the questions that may follow a decision.

const CHOICES = {
  left: { slight: "Left is slightly better", clear: "Left is better", strong: "Left is much better" },
  right: { slight: "Right is slightly better", clear: "Right is better", strong: "Right is much better" },
  tie: "Tie: equally good",
  both_bad: "Both are bad",
  skip: "Skipped",
};
const wordsFor = (choice, strength) =>
  typeof CHOICES[choice] === "string" ? CHOICES[choice] : CHOICES[choice][strength ?? "clear"];

// A decision key or button. Where the workspace asks more than that, the questions open.
function choose(choice, strength) {
  if (!card || undoing || checking || performance.now() - shownAt < GUARD_MS) return;
  if (choice === "skip") {
    if (openMenu === "skip" || !me.form.skip_reasons.length) decide("skip", null);
    else showMenu("skip");
  } else if (asksMore()) openQuestions(choice, strength);
  else decide(choice, strength);
}

function decide(choice, strength, answers = {}) {
  const key = newKey();
  const again = Boolean(revisit);
  const body = {
    key,
    presentation: card.presentation,
    choice,
    strength: strength || null,
    seconds: Math.round(looked() * 1000) / 1000,
    rationale: find("#pl-note-text").value,
    flags: flagged(),
    criteria: {},
    acceptable: null,
    edited_text: "",
    skip_reason: "",
    guideline: guidelines?.version ?? "",
    ...answers,
  };
  writeEntry(entryName(key), { body, tried: false, again });
  judged.set(key, { card, again });
  if (judged.size > 50) judged.delete(judged.keys().next().value);
  channel?.postMessage({ judged: card.presentation });
  closeMenu();
  if (again) noteChange(body);
  if (card.qualification) awaitFeedback(key);
  else {
    card = null;
    revisit = null;
    next();
  }
  // The new pair is painted first; everything else can wait a frame.
  requestAnimationFrame(() => setTimeout(afterDeciding));
  if (document.hidden) afterDeciding();
}

function afterDeciding() {
  showProgress();
  send();
  showStatus();
  fill();
  drawAhead();
}

// ---- qualification pairs: the answer comes at once --------------------------------------------

function awaitFeedback(key) {
  checking = key;
  card = null;
  revisit = null;
  closeExtra();
  setTimeout(() => checking === key && failures > 0 && tellFeedback(key, null), 4000);
}

function tellFeedback(key, feedback) {
  if (key !== checking) return;
  if (!feedback) return feedbackRead();
  const dialog = find('[data-dialog="feedback"]');
  const expected = wordsFor(feedback.expected, "clear");
  dialog.dataset.right = feedback.right;
  dialog.querySelector("h2").textContent = feedback.right ? "That's what was expected" : "Something else was expected";
  dialog.querySelector(".pl-expected").textContent = "Expected: " + expected + ".";
  dialog.querySelector(".pl-explained").innerHTML = feedback.explanation_html ?? ""; // the server's renderer made it
  dialog.showModal();
}

function feedbackRead() {
  if (!checking) return;
  checking = null;
  next();
  showStatus();
}

// ---- undo -------------------------------------------------------------------------------------

async function undo() {
  if (undoing) {
    undoing = false; // a second press stops waiting
    showStatus();
    return;
  }
  if (!me || checking) return;
  const last = outbox().at(-1);
  const entry = last && readEntry(last);
  if (entry && !entry.tried && judged.has(entry.body.key)) {
    dropEntry(last); // never left this browser
    const { card: undone, again } = judged.get(entry.body.key);
    if (again) openEarlier(undone, entry.body);
    else back(undone);
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

// An undone pair comes back to the screen; what was there waits behind it.
function back(undone) {
  buffer = buffer.filter((c) => c.presentation !== undone.presentation);
  const waiting = revisit ? parked?.card : card;
  parked = null;
  if (waiting && waiting.presentation !== undone.presentation) buffer.unshift(waiting);
  show(undone);
  announce("Taken back. Decide again.");
  showProgress();
  showStatus();
}
