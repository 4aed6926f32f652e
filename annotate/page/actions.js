// What the keys of the labeling page do.

const OWN_KEYS = "keys";
const vote = (choice, strength) => () => choose(choice, strength);
const ACTIONS = [
  { id: "left-strong", keys: ["1", "Shift+ArrowLeft"], label: "Left is much better", run: vote("left", "strong") },
  { id: "left-clear", keys: ["2", "ArrowLeft"], label: "Left is better", run: vote("left", "clear") },
  { id: "left-slight", keys: ["3"], label: "Left is slightly better", run: vote("left", "slight") },
  { id: "tie", keys: ["4", "t"], label: "Tie: equally good", run: vote("tie", null) },
  { id: "right-slight", keys: ["5"], label: "Right is slightly better", run: vote("right", "slight") },
  { id: "right-clear", keys: ["6", "ArrowRight"], label: "Right is better", run: vote("right", "clear") },
  { id: "right-strong", keys: ["7", "Shift+ArrowRight"], label: "Right is much better", run: vote("right", "strong") },
  { id: "both-bad", keys: ["b"], label: "Both are bad", run: vote("both_bad", null) },
  { id: "skip", keys: ["s"], label: "Skip: I can't judge this one (again: without a reason)", run: vote("skip", null) },
  { id: "undo", keys: ["u", "Backspace"], label: "Undo: take the last decision back", run: () => undo() },
  { id: "history", keys: ["h"], label: "Earlier pairs: look at one and change it", run: () => toggleEarlier() },
  { id: "note", keys: ["n"], label: "Write a note", run: () => toggleNote() },
  { id: "flag", keys: ["f"], label: "Flag a problem", run: () => showMenu("flags") },
  { id: "raw", keys: ["r"], label: "Raw text or rendered", run: () => toggleRaw() },
  { id: "marks", keys: ["d"], label: "Mark what the other answer does not have", run: () => toggleMarks() },
  { id: "copy", keys: ["c"], label: "Copy the prompt and both answers", run: () => copyCard("all") },
  { id: "guidelines", keys: ["g"], label: "Guidelines, beside the answers on a wide screen", run: () => toggleGuidelines() },
  { id: "help", keys: ["?"], label: "Keys: see and change them", run: () => openDialog("help") },
];
