// Decisions on their way to the server. A decision goes into the outbox (localStorage, one entry
// each, under the labeler's name) and from there to POST /api/judgments. It leaves the outbox when
// the server has acknowledged or refused it, so a lost connection loses nothing.

const unkept = new Map(); // where localStorage is full or forbidden
const prefix = () => "pairloop:outbox:" + me.name + ":";
let sequence = 0;
let sending = false;
let failures = 0; // sends that failed in a row
let retryTimer = null;

function outbox() {
  if (!me) return [];
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

// Entries sort by time, then by the order in which this page made them; where the clock was set
// back, after those that are there.
function entryName(key) {
  sequence += 1;
  const last = Number(outbox().at(-1)?.slice(prefix().length, prefix().length + 15) ?? 0);
  const time = Math.max(Date.now(), last);
  return prefix() + String(time).padStart(15, "0") + String(sequence).padStart(6, "0") + ":" + key;
}

async function send() {
  if (sending || !me) return;
  sending = true;
  clearTimeout(retryTimer);
  const any = outbox().length;
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
        tellFeedback(entry.body.key, answer.feedback);
      } catch (error) {
        if (!(error instanceof Refused)) {
          failures += 1;
          if (failures === 3 && error instanceof Later) complain("Not stored yet: " + error.message);
          retryTimer = setTimeout(send, Math.min(1000 * failures, 8000));
          return;
        }
        dropEntry(names[0]);
        judged.delete(entry.body.key);
        complain("One decision was not stored: " + error.message);
        tellFeedback(entry.body.key, null);
      }
      showProgress();
    }
    if (any && !card && !checking) fill(); // now it is known whether there is more
  } finally {
    sending = false;
    showStatus();
  }
}
