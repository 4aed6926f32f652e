// One view per card: its nodes, drawn and laid out while the person still reads the card before.
// Showing the next pair is then one class. The view on the screen is always the first one in .pl-work.

const views = new Map(); // presentation -> its node
const soon = window.requestIdleCallback ?? ((run) => setTimeout(run, 30));
let drawTimer = false;

function viewOf(shown) {
  let view = views.get(shown.presentation);
  if (!view) {
    view = find("template").content.firstElementChild.cloneNode(true);
    views.set(shown.presentation, view);
    find(".pl-work").append(view);
  }
  if (view.dataset.drawn !== drawing()) drawView(view, shown);
  return view;
}

function forgetView(shown) {
  views.get(shown.presentation)?.remove();
  views.delete(shown.presentation);
}

// Draws one waiting card per idle moment.
function drawAhead() {
  if (drawTimer) return;
  const waiting = buffer.find((c) => views.get(c.presentation)?.dataset.drawn !== drawing());
  if (!waiting) return;
  drawTimer = true;
  soon(() => {
    drawTimer = false;
    if (page.signal.aborted) return;
    if (buffer.includes(waiting)) fit(viewOf(waiting));
    drawAhead();
  }, { timeout: 400 });
}

function refit() {
  for (const [, view] of views) view.dataset.fitted = "";
  if (card) fit(viewOf(card));
  for (const waiting of buffer) if (views.has(waiting.presentation)) fit(views.get(waiting.presentation));
}

// ---- showing ----------------------------------------------------------------------------------

function next() {
  closeExtra();
  if (parked) {
    const waiting = parked;
    parked = null;
    show(waiting.card, { seconds: waiting.seconds });
    return;
  }
  const following = buffer.shift();
  if (following) show(following);
  else idleScreen();
}

function show(shown, { seconds = 0, decision = null } = {}) {
  const before = find(".pl-view.pl-now");
  window.scrollTo(0, 0); // while the layout is still clean
  const view = viewOf(shown);
  if (before && before !== view) {
    before.classList.remove("pl-now");
    // A card that waits keeps its view; a decided one is done with.
    const waits = [parked?.card, ...buffer].some((c) => c?.presentation === before.dataset.of);
    if (!waits) {
      before.remove();
      views.delete(before.dataset.of);
    }
  }
  view.dataset.of = shown.presentation;
  view.classList.add("pl-now");
  // On the way back the view stands behind the waiting ones; the first one is what people see.
  if (view.previousElementSibling) view.parentNode.prepend(view);
  card = shown;
  revisit = decision && { card: shown, decision };
  if (app.dataset.state !== "ready") roomForBar(); // which has no height before
  app.dataset.state = "ready";
  resetExtra(decision);
  showBanner();
  announce("");
  awayMs = 0;
  awaySince = document.hidden ? performance.now() : null;
  shownAt = performance.now() - seconds * 1000;
  if (!view.dataset.fitted) soon(() => view.isConnected && fit(view), { timeout: 100 });
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches)
    find(".pl-tick").animate([{ transform: "scaleX(0)", opacity: 1 }, { transform: "scaleX(1)", opacity: 0 }], 380);
}

// After a toggle of raw text or marks: this card now, the waiting ones in idle moments.
function redraw() {
  if (card) fit(viewOf(card));
  drawAhead();
}
