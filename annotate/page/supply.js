// The supply of cards: GET /api/pairs, four ahead. Other tabs and devices of the same person are
// heard through a BroadcastChannel and the heartbeat, so that nobody sees a pair twice.

let filling = false;
let pollTimer = null;
let channel = null;

const unsentPairs = () => outbox().map((name) => readEntry(name)?.body.presentation);

// Every card this tab has or has just decided, but not an earlier one that is only looked at.
function held() {
  const shown = revisit ? parked?.card : card;
  return new Set(
    [shown?.presentation, ...buffer.map((c) => c.presentation), ...unsentPairs()].filter(Boolean),
  );
}

async function fill() {
  if (filling || buffer.length >= AHEAD) return;
  filling = true;
  clearTimeout(pollTimer);
  try {
    const have = [...held()].map(encodeURIComponent).join(",");
    const answer = await call("/api/pairs?count=" + (AHEAD - buffer.length) + "&have=" + have);
    const known = held();
    buffer.push(...answer.pairs.filter((c) => !known.has(c.presentation)));
    takeNews(answer);
    if (!card && !checking) next();
    drawAhead();
    const soon = have && !card && !outbox().length; // what was on its way has been stored meanwhile
    if (soon || (answer.pairs.length && buffer.length < AHEAD)) pollTimer = setTimeout(fill, 50);
    else if (!buffer.length) pollTimer = setTimeout(fill, card ? HEARTBEAT_MS : POLL_MS);
  } catch (error) {
    if (page.signal.aborted) return;
    pollTimer = setTimeout(fill, 2000);
    if (!card && !checking) idle("Waiting for the server", "Your decisions are kept in this browser.");
  } finally {
    filling = false;
  }
}

// What /api/pairs and /api/heartbeat say beside the cards.
function takeNews(answer) {
  deskState = answer.state ?? "open";
  if (!outbox().length) progress = answer.progress ?? progress;
  if (["paused", "limit", "not_qualified"].includes(deskState)) dropCards([...held()], "");
  else dropCards(answer.gone ?? [], "That pair was judged in another tab or on another device. Here is the next one.");
  if (answer.guideline !== undefined && answer.guideline !== newestGuideline) {
    newestGuideline = answer.guideline;
    if (guidelines) loadGuidelines();
  }
  showProgress();
}

// Cards that this person has judged elsewhere. The one on the screen stays if it was begun.
function dropCards(gone, why) {
  if (!gone.length) return;
  const lost = new Set(gone);
  for (const waiting of buffer) if (lost.has(waiting.presentation)) forgetView(waiting);
  buffer = buffer.filter((c) => !lost.has(c.presentation));
  if (parked && lost.has(parked.card.presentation)) {
    forgetView(parked.card);
    parked = null;
  }
  if (card && !revisit && lost.has(card.presentation) && !hasBegun()) {
    forgetView(card);
    card = null;
    next();
    announce(card ? why : "");
  }
  fill();
}

function hasBegun() {
  return openMenu !== null || extra.mode !== null || find("#pl-note-text").value !== "" || flagged().length > 0;
}

// ---- other tabs, and the server's leases ------------------------------------------------------

function joinTabs() {
  if (!window.BroadcastChannel) return;
  channel = new BroadcastChannel("pairloop:" + me.name);
  channel.onmessage = (event) =>
    dropCards([event.data.judged].filter(Boolean), "That pair was judged in another tab. Here is the next one.");
}

async function heartbeat() {
  if (document.hidden || !me || leaving) return;
  try {
    takeNews(await call("/api/heartbeat", { have: [...held()] }));
    if (!card && !checking && !buffer.length) fill();
  } catch {
    // the next one, or the outbox, will say that the server is away
  }
}

// Gives the cards back when the page is left; what was decided here is not given back.
function release() {
  const decided = new Set(unsentPairs());
  const have = [...held()].filter((presentation) => !decided.has(presentation));
  if (!me || leaving || !have.length) return;
  navigator.sendBeacon("/api/release", new Blob([JSON.stringify({ have })], { type: "application/json" }));
}

const heartbeatTimer = setInterval(heartbeat, HEARTBEAT_MS);
listen(window, "pagehide", release);
listen(window, "pageshow", (event) => {
  if (!event.persisted) return; // back from the browser's own cache: take the cards again
  heartbeat();
  fill();
});
