// Keys. The help, the key caps on the buttons and aria-keyshortcuts all come from ACTIONS; a person's
// own keys are kept in the browser, under OWN_KEYS.

const actionsById = new Map(ACTIONS.map((action) => [action.id, action]));
const FIXED = new Set(["Escape", "Enter", "Tab", " ", "Shift", "Control", "Alt", "Meta", "Dead", "Process", "Unidentified"]);
let keymap = new Map(); // key -> action
let ownKeys = {}; // action id -> its keys, where they are not the usual ones
let changing = null; // the action that the next key is for

const keysOf = (action) => ownKeys[action.id] ?? action.keys;
const digitOf = (event) => {
  const match = /^(?:Digit|Numpad)([0-9])$/.exec(event.code) ?? /^([0-9])$/.exec(event.key);
  return match && !event.shiftKey ? Number(match[1]) : 0;
};

// A key by its name: digits by place, so that they work on every layout; letters by what is typed,
// or by place where the layout has other letters there (Cyrillic, Greek, ...).
function keyName(event) {
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
  const shift = event.shiftKey ? "Shift+" : "";
  if (digit && !(event.shiftKey && /^[^\d\p{L}]$/u.test(event.key) && keymap.has(event.key))) return shift + digit[1];
  if (/^\p{L}$/u.test(event.key)) {
    const typed = event.key.toLowerCase();
    const place = /^Key([A-Z])$/.exec(event.code)?.[1].toLowerCase();
    return shift + (/^[a-z]$/.test(typed) ? typed : place ?? typed);
  }
  return (event.key.length > 1 ? shift : "") + event.key; // a symbol has its Shift in it already
}

const CAPS = { ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193", Backspace: "\u232b" };
const SPOKEN = { ArrowLeft: "Left arrow", ArrowRight: "Right arrow", ArrowUp: "Up arrow", ArrowDown: "Down arrow" };
const parts = (key) => (key.startsWith("Shift+") ? ["Shift", key.slice(6)] : [key]);
const cap = (key) => parts(key).map((part) => CAPS[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(" ");
const spoken = (key) => parts(key).map((part) => SPOKEN[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(" and ");

function loadKeys() {
  const kept = recall(OWN_KEYS) ?? {};
  ownKeys = {};
  for (const [id, keys] of Object.entries(kept))
    if (actionsById.has(id) && Array.isArray(keys) && keys.every((key) => typeof key === "string")) ownKeys[id] = keys;
  paintKeys();
}

function paintKeys() {
  keymap = new Map(ACTIONS.flatMap((action) => keysOf(action).map((key) => [key, action])));
  for (const button of findAll("[data-action]")) {
    const keys = keysOf(actionsById.get(button.dataset.action));
    button.setAttribute("aria-keyshortcuts", keys.map((key) => (key === "?" ? "Shift+?" : key)).join(" "));
    const shown = button.querySelector("kbd");
    if (shown) shown.textContent = cap(keys[0]);
  }
  const rows = ACTIONS.map((action) => {
    const row = make("tr");
    const name = make("th", "", action.label);
    name.scope = "row";
    const keys = make("td");
    for (const key of keysOf(action)) {
      const shown = make("kbd", "", cap(key));
      shown.setAttribute("aria-label", spoken(key));
      shown.setAttribute("role", "img");
      keys.append(shown, " ");
    }
    const change = make("td");
    const button = make("button", "pl-change", changing === action ? "Press a key" : "Change");
    button.type = "button";
    button.dataset.change = action.id;
    button.setAttribute("aria-label", (changing === action ? "Press the new key for: " : "Change the key for: ") + action.label);
    change.append(button);
    row.append(name, keys, change);
    return row;
  });
  const focused = document.activeElement?.dataset?.change;
  find(".pl-keys tbody").replaceChildren(...rows);
  if (focused) find('[data-change="' + focused + '"]').focus();
  find('[data-do="reset-keys"]').hidden = !Object.keys(ownKeys).length;
}

function askForKey(id) {
  changing = actionsById.get(id);
  sayKeys("Press the new key for \u201c" + changing.label + "\u201d. Esc keeps the old one.");
  paintKeys();
}

// Takes the pressed key for the action that is being changed.
function takeKey(event) {
  event.preventDefault();
  event.stopPropagation();
  if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
  const action = changing;
  if (event.key === "Escape") {
    changing = null;
    sayKeys("Nothing was changed.");
    return paintKeys();
  }
  if (FIXED.has(event.key) || event.ctrlKey || event.altKey || event.metaKey) {
    sayKeys("The browser or the lists need this key. Press another one, or Esc to keep the old one.");
    return;
  }
  const key = keyName(event);
  const taken = keymap.get(key);
  if (taken && taken !== action) {
    sayKeys(cap(key) + " is already \u201c" + taken.label + "\u201d. Press another key, or change that one first.");
    return;
  }
  changing = null;
  ownKeys = { ...ownKeys, [action.id]: [key] };
  if (String(action.keys) === key) delete ownKeys[action.id];
  remember(OWN_KEYS, ownKeys);
  sayKeys(cap(key) + " is now \u201c" + action.label + "\u201d.");
  paintKeys();
}

function resetKeys() {
  ownKeys = {};
  changing = null;
  remember(OWN_KEYS, ownKeys);
  sayKeys("All keys are the usual ones again.");
  paintKeys();
}

const sayKeys = (text) => (find(".pl-keys-said").textContent = text);
