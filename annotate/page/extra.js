// Beside the decision: a note, flags, the list of reasons to skip, and the workspace's questions.

const extra = { mode: null, choice: null, strength: null, asked: false }; // mode: null, note, decide
let openMenu = null; // null, "skip" or "flags"

const flagged = () => findAll(".pl-flags input:checked").map((box) => box.value);
const asksMore = () =>
  me.form.criteria.length > 0 || me.form.reasons.length > 0 || me.form.ask_acceptable || me.form.allow_edit;
const asksAbout = (choice) => choice === "left" || choice === "right";

// Once, when /api/me is known.
function buildExtra() {
  const list = find('[data-menu="skip"] ol');
  me.form.skip_reasons.slice(0, 9).forEach((reason, at) => {
    const button = make("button", "", reason);
    button.type = "button";
    button.dataset.reason = reason;
    button.prepend(make("kbd", "", String(at + 1)));
    const item = make("li");
    item.append(button);
    list.append(item);
  });
  for (const { name, question } of me.form.criteria) {
    const group = make("fieldset", "pl-criterion");
    group.append(make("legend", "", question));
    for (const [value, label] of [["left", "Left"], ["same", "Same"], ["right", "Right"]]) {
      const option = make("label", "");
      const input = make("input");
      Object.assign(input, { type: "radio", name: "pl-criterion-" + name, value });
      input.dataset.criterion = name;
      option.append(input, make("span", "", label));
      group.append(option);
    }
    find(".pl-criteria").append(group);
  }
  for (const reason of me.form.reasons) {
    const chip = make("button", "pl-chip", reason);
    chip.type = "button";
    chip.setAttribute("aria-pressed", "false");
    find(".pl-chips").append(chip);
  }
}

// A new card starts empty; an earlier one with what was said about it.
function resetExtra(decision) {
  closeMenu();
  closeExtra();
  find("#pl-note-text").value = decision?.rationale ?? "";
  const flags = new Set(decision?.flags ?? []);
  for (const box of findAll(".pl-flags input")) box.checked = flags.has(box.value);
  for (const input of findAll(".pl-extra [type=radio]"))
    input.checked = decision?.criteria?.[input.dataset.criterion] === input.value;
  for (const box of findAll("[name=pl-acceptable]"))
    box.checked = box.value === String(decision?.acceptable ?? "");
  find("#pl-edit-text").value = "";
  find("#pl-edit-text").dataset.side = "";
  find(".pl-edit").open = false;
  paintChips();
  paintFlags();
}

// ---- note and questions -----------------------------------------------------------------------

function openExtra(mode) {
  closeMenu();
  extra.mode = mode;
  const panel = find(".pl-extra");
  const asking = mode === "decide";
  panel.hidden = false;
  find(".pl-extra-head").hidden = !asking;
  find(".pl-criteria").hidden = !asking || !me.form.criteria.length;
  find(".pl-chips").hidden = !me.form.reasons.length;
  find(".pl-note").hidden = asking && !me.form.reasons.length && !find("#pl-note-text").value;
  find(".pl-acceptable").hidden = !asking || !me.form.ask_acceptable || !asksAbout(extra.choice);
  find(".pl-edit").hidden = !asking || !me.form.allow_edit || !asksAbout(extra.choice);
  find(".pl-send").hidden = !asking;
  find('[data-action="note"]').setAttribute("aria-expanded", String(!asking));
  roomForBar();
}

function closeExtra() {
  if (extra.mode === null) return;
  extra.mode = null;
  extra.asked = false;
  find(".pl-extra").hidden = true; // what is hidden loses the focus by itself
  find('[data-action="note"]').setAttribute("aria-expanded", "false");
  app.dataset.picked = "";
  roomForBar();
}

function toggleNote() {
  if (extra.mode === "note") return closeExtra();
  if (!card) return;
  if (extra.mode === null) openExtra("note");
  find(".pl-note").hidden = false;
  find("#pl-note-text").focus();
}

// The first Escape leaves the field, so that keys decide again; the second folds the panel.
function leaveExtra() {
  const inside = document.activeElement;
  if (isTyping(inside) && find(".pl-extra").contains(inside)) inside.blur();
  else closeExtra();
}

function openQuestions(choice, strength) {
  const opening = extra.mode !== "decide";
  Object.assign(extra, { choice, strength, asked: false });
  openExtra("decide");
  app.dataset.picked = choice;
  find(".pl-extra-head b").textContent = wordsFor(choice, strength);
  find(".pl-open-questions").textContent = "";
  if (asksAbout(choice) && me.form.allow_edit) prefillEdit(choice);
  if (!opening) return;
  const first = find(".pl-criteria:not([hidden]) input") ?? find(".pl-chips:not([hidden]) button");
  (first ?? find(".pl-send button")).focus();
}

function prefillEdit(side) {
  const field = find("#pl-edit-text");
  if (field.dataset.side === side) return;
  const earlier = revisit?.decision.choice === side ? revisit.decision.edited_text : "";
  field.value = earlier || card[side + "_text"];
  field.dataset.side = side;
  find(".pl-edit summary span").textContent = "Edit the " + side + " answer into a better one";
}

// Enter. With questions left open it points at them once, and the second Enter sends all the same.
function sendExtra() {
  if (extra.mode !== "decide" || !card) return;
  const criteria = {};
  for (const input of findAll(".pl-criteria input:checked")) criteria[input.dataset.criterion] = input.value;
  const open = me.form.criteria.filter(({ name }) => !(name in criteria));
  if (open.length && !extra.asked) {
    extra.asked = true;
    find(".pl-open-questions").textContent =
      plural(open.length, "question is", "questions are") + " open. Enter again sends without.";
    find('[data-criterion="' + open[0].name + '"]').focus();
    return;
  }
  const { choice, strength } = extra;
  const answers = { criteria };
  const acceptable = find("[name=pl-acceptable]:checked")?.value;
  if (me.form.ask_acceptable && asksAbout(choice) && acceptable) answers.acceptable = acceptable === "true";
  const edit = find("#pl-edit-text");
  if (me.form.allow_edit && asksAbout(choice) && edit.dataset.side === choice) {
    const unchanged = edit.value === card[choice + "_text"] || !edit.value.trim();
    answers.edited_text = unchanged ? "" : edit.value;
  }
  decide(choice, strength, answers);
}

// In a question the arrows answer it and go on: left, right, and down for the same.
function answerByArrow(event) {
  const question = document.activeElement?.closest?.(".pl-criterion");
  const value = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "same" }[event.key];
  if (!question || (!value && event.key !== "ArrowUp")) return false;
  event.preventDefault();
  const questions = findAll(".pl-criterion");
  const at = questions.indexOf(question);
  if (value) question.querySelector('[value="' + value + '"]').checked = true;
  const goal = questions[value ? at + 1 : Math.max(0, at - 1)];
  const after = find(".pl-chips:not([hidden]) button") ?? find(".pl-send button");
  (goal ? goal.querySelector("input:checked") ?? goal.querySelector("input") : after).focus();
  return true;
}

// A quick reason is a line of the rationale; pressing it again takes the line out.
function toggleReason(chip) {
  const field = find("#pl-note-text");
  const lines = field.value.split("\n").filter((line) => line.trim());
  const at = lines.indexOf(chip.textContent);
  if (at === -1) lines.push(chip.textContent);
  else lines.splice(at, 1);
  field.value = lines.join("\n");
  paintChips();
}

function paintChips() {
  const lines = find("#pl-note-text").value.split("\n");
  for (const chip of findAll(".pl-chip")) chip.setAttribute("aria-pressed", lines.includes(chip.textContent));
}

// ---- the two small lists ----------------------------------------------------------------------

function showMenu(name) {
  if (!card) return;
  if (openMenu === name) return closeMenu();
  closeMenu();
  openMenu = name;
  const menu = find('[data-menu="' + name + '"]');
  menu.hidden = false;
  find('[data-action="' + (name === "skip" ? "skip" : "flag") + '"]').setAttribute("aria-expanded", "true");
  menu.querySelector("button, input").focus();
  roomForBar();
}

function closeMenu() {
  if (!openMenu) return;
  find('[data-menu="' + openMenu + '"]').hidden = true;
  find('[data-action="' + (openMenu === "skip" ? "skip" : "flag") + '"]').setAttribute("aria-expanded", "false");
  openMenu = null;
  roomForBar();
}

// Keys of an open list; true if the key was for it.
function menuKey(event) {
  if (!openMenu) return false;
  const menu = find('[data-menu="' + openMenu + '"]');
  const items = [...menu.querySelectorAll("button, input")];
  const digit = digitOf(event);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (digit) (openMenu === "skip" ? items[digit] : items[digit - 1])?.click();
  else if (step) items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  else if (event.key === "Enter") {
    if (openMenu === "flags") closeMenu();
    else if (menu.contains(document.activeElement)) document.activeElement.click();
    else items[0].click();
  } else if (event.key === " " || event.key === "Tab") return true; // the browser's own
  else return false;
  event.preventDefault();
  return true;
}

function skipFor(reason) {
  if (card && !checking) decide("skip", null, { skip_reason: reason });
}

function paintFlags() {
  const count = flagged().length;
  const badge = find('[data-action="flag"] .pl-badge');
  badge.textContent = count ? String(count) : "";
  badge.hidden = !count;
  find('[data-action="flag"]').classList.toggle("pl-set", count > 0);
}
