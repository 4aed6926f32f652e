// One view per card: its nodes, drawn and laid out while the person still reads the card before.
// Showing the next pair is then one class. The view on the screen is always the first one in .pl-work.

const views = new Map(); // presentation -> its node
const soon = window.requestIdleCallback ?? ((run) => setTimeout(run, 30));
const drawing = () => (raw ? "raw" : "rendered") + (marking ? " marked" : "");
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

// The html fields are made by the server's renderer, which lets no markup of a model through.
function drawView(view, shown) {
  const parts = [
    [view.querySelector(".pl-prompt-body"), shown.prompt_html, shown.prompt_text],
    [view.querySelector('[data-side="left"] .pl-body'), shown.left_html, shown.left_text],
    [view.querySelector('[data-side="right"] .pl-body'), shown.right_html, shown.right_text],
  ];
  for (const [target, html, text] of parts) {
    target.classList.toggle("pl-long", text.length > LONG_CHARS);
    if (raw) target.replaceChildren(sourceOf(text));
    else target.innerHTML = html;
    if (!raw && text.length > LONG_CHARS) intoPieces(target);
  }
  view.dataset.drawn = drawing();
  view.dataset.fitted = "";
  if (marking) markDifferences(view, parts[1][0], parts[2][0]);
}

// The blocks of a long text in groups; only the groups in sight are laid out and painted.
function intoPieces(target) {
  for (const body of target.querySelectorAll(".pl-md")) {
    let [piece, size] = [null, 0];
    for (const block of [...body.children]) {
      if (!piece || size > PIECE_CHARS) {
        [piece, size] = [make("div", "pl-piece"), 0];
        block.before(piece);
      }
      size += block.textContent.length + 40;
      piece.append(block);
    }
  }
}

// Plain text in pieces of whole lines, so that a very long one is laid out where it is seen.
function sourceOf(text) {
  const source = make("pre", "pl-source");
  source.dir = "auto";
  for (let start = 0; start < text.length || start === 0; ) {
    const cut = text.indexOf("\n", start + PIECE_CHARS);
    const end = cut === -1 ? text.length : cut + 1;
    source.append(make("span", "pl-piece", text.slice(start, end).replace(/\n$/, "")));
    if (end >= text.length) break;
    start = end;
  }
  return source;
}

// Long conversations are folded to the last turns; the button shows the rest. Reads the layout, so
// it runs while the view waits, and what scrolls sideways is made reachable by keyboard.
function fit(view) {
  if (view.dataset.fitted) return;
  const body = view.querySelector(".pl-prompt-body");
  const more = view.querySelector('[data-do="more"]');
  const whole = view.classList.contains("pl-whole");
  const long = body.scrollHeight > body.clientHeight + 4;
  more.hidden = !whole && !long;
  more.textContent = whole ? "Fold the conversation" : "Show the whole conversation";
  more.setAttribute("aria-expanded", whole);
  if (long) body.tabIndex = 0;
  else body.removeAttribute("tabindex");
  if (!whole) body.scrollTop = body.querySelector(".pl-many") ? body.scrollHeight : 0;
  for (const wide of [...view.querySelectorAll(".pl-md :is(pre, table), .pl-formula")].slice(0, 200))
    if (wide.closest(".pl-long") || wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  view.dataset.fitted = "yes";
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

// Seconds this person has looked at the card on the screen.
const looked = () => {
  const away = awayMs + (awaySince === null ? 0 : performance.now() - awaySince);
  return Math.max(0, (performance.now() - shownAt - away) / 1000);
};

// After a toggle of raw text or marks: this card now, the waiting ones in idle moments.
function redraw() {
  if (card) fit(viewOf(card));
  drawAhead();
}
