// Marks in both answers the words the other does not have, on the nodes that are on the screen, so
// tables, code and lists stay what they are. Word by word (Myers 1986); by whole lines where that
// would take too long.

const DIFF_STEPS = 12e6; // about a tenth of a second
const DIFF_EDITS = 2500; // its memory grows with the square
const DIFF_WORDS = 40000;
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]\p{M}*|[\p{L}\p{N}\p{M}_]+(?:['\u2019][\p{L}]+)*|[^\s]/gu;
const BLOCKS = new Set(["P", "DIV", "LI", "TR", "PRE", "BLOCKQUOTE", "H3", "H4", "H5", "H6", "BR", "HR"]);

function markDifferences(view, left, right) {
  const [a, b] = [wordsIn(left), wordsIn(right)];
  const own = compareWords(a, b);
  markWords(a, own[0]);
  markWords(b, own[1]);
  const count = (flags) => flags.reduce((sum, flag) => sum + flag, 0);
  view.dataset.marks =
    "Differences marked: " + plural(count(own[0]), "word", "words") + " only in the left answer, " +
    count(own[1]) + " only in the right" + (own.byLine ? " (by whole lines, as the answers are long)." : ".");
}

// Words with the text node and place of each; a formula counts as one word.
function wordsIn(root) {
  const words = { texts: [], nodes: [], starts: [], lines: [] };
  let line = 0;
  const add = (text, node, start) => {
    words.texts.push(text);
    words.nodes.push(node);
    words.starts.push(start);
    words.lines.push(line);
  };
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE) {
      let from = 0;
      for (const piece of node.data.split("\n")) {
        if (from) line += 1;
        for (const match of piece.matchAll(WORD)) add(match[0], node, from + match.index);
        from += piece.length + 1;
      }
    } else if (node.localName === "math") add(node.textContent, node, 0);
    else if (node.classList.contains("pl-lang")) return;
    else {
      const block = BLOCKS.has(node.tagName);
      if (block) line += 1;
      for (const child of node.childNodes) walk(child);
      if (block) line += 1;
    }
  };
  walk(root);
  return words;
}

function compareWords(a, b) {
  const small = a.texts.length + b.texts.length <= DIFF_WORDS;
  const exact = small && ownItems(a.texts, b.texts);
  if (exact) return exact;
  const [linesA, linesB] = [joinLines(a), joinLines(b)];
  const own = ownItems(linesA.texts, linesB.texts) ?? [notIn(linesA.texts, linesB.texts), notIn(linesB.texts, linesA.texts)];
  const spread = (words, lines, flags) => words.lines.map((line) => flags[lines.at.get(line)]);
  const result = [spread(a, linesA, own[0]), spread(b, linesB, own[1])];
  result.byLine = true;
  return result;
}

function joinLines(words) {
  const at = new Map();
  const parts = [];
  words.texts.forEach((text, i) => {
    if (!at.has(words.lines[i])) at.set(words.lines[i], parts.push([]) - 1);
    parts[at.get(words.lines[i])].push(text);
  });
  return { at, texts: parts.map((part) => part.join(" ")) };
}

function notIn(items, others) {
  const known = new Set(others);
  return items.map((item) => (known.has(item) ? 0 : 1));
}

// Which items of each list are not in the longest common subsequence; null if that takes too long.
function ownItems(itemsA, itemsB) {
  const numbers = new Map();
  const number = (item) => numbers.get(item) ?? (numbers.set(item, numbers.size), numbers.size - 1);
  const a = Int32Array.from(itemsA, number);
  const b = Int32Array.from(itemsB, number);
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) (endA -= 1), (endB -= 1);
  const own = [new Array(a.length).fill(0), new Array(b.length).fill(0)];
  const trace = shortestEdits(a.subarray(start, endA), b.subarray(start, endB));
  if (!trace) return null;
  let [x, y] = [endA - start, endB - start];
  for (let d = trace.length - 1; d > 0; d--) {
    const before = trace[d - 1]; // furthest x by diagonal -(d-1)..d-1
    const at = (k) => (k < 1 - d || k > d - 1 ? -1 : before[k + d - 1]);
    const k = x - y;
    const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
    const beforeX = down ? at(k + 1) : at(k - 1);
    const beforeY = beforeX - (down ? k + 1 : k - 1);
    if (down) own[1][start + beforeY] = 1;
    else own[0][start + beforeX] = 1;
    [x, y] = [beforeX, beforeY];
  }
  return own;
}

// Myers' greedy search: the furthest reaching points for 0, 1, 2... edits, until both ends are met.
function shortestEdits(a, b) {
  const most = Math.min(a.length + b.length, DIFF_EDITS, Math.floor(DIFF_STEPS / (a.length + b.length + 1)));
  const far = new Int32Array(2 * most + 3).fill(-1);
  const zero = most + 1;
  far[zero + 1] = 0;
  const trace = [];
  for (let d = 0; d <= most; d++) {
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && far[zero + k - 1] < far[zero + k + 1]);
      let x = down ? far[zero + k + 1] : far[zero + k - 1] + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      far[zero + k] = x;
      if (x >= a.length && x - k >= b.length) {
        trace.push(null); // the way back starts at this end
        return trace;
      }
    }
    trace.push(far.slice(zero - d, zero + d + 1));
  }
  return null;
}

// Wraps runs of own words, the spaces between them included.
function markWords(words, flags) {
  const runs = []; // [node, start, end]
  for (let i = 0; i < flags.length; i++) {
    if (!flags[i]) continue;
    const node = words.nodes[i];
    const [start, end] = [words.starts[i], words.starts[i] + words.texts[i].length];
    const last = runs.at(-1);
    if (i && flags[i - 1] && last[0] === node) last[2] = end;
    else runs.push([node, start, end]);
  }
  for (const [node, start, end] of runs.reverse()) {
    if (node.localName === "math") {
      node.classList.add("pl-own");
      continue;
    }
    const mark = make("mark", "pl-own");
    const own = start ? node.splitText(start) : node;
    if (end - start < own.data.length) own.splitText(end - start);
    own.replaceWith(mark);
    mark.append(own);
  }
}
