// Decisions, and what is on the screen. Continues outbox.js.

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
