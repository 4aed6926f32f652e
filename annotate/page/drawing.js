// Drawing one pair into its view: rendered or raw, with the differences marked.

const drawing = () => (raw ? "raw" : "rendered") + (marking ? " marked" : "");

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
