// What the keys of the adjudication page do.

const OWN_KEYS = "adjudication-keys";
const CAUSES = {
  underspecified_prompt: "unclear prompt",
  style: "style",
  refusal: "refusal",
  error: "somebody's error",
  guideline_gap: "guideline gap",
};
const ACTIONS = [
  { id: "left", keys: ["1", "ArrowLeft"], label: "Left is better", run: () => choose("left") },
  { id: "right", keys: ["2", "ArrowRight"], label: "Right is better", run: () => choose("right") },
  { id: "left-strong", keys: ["Shift+1"], label: "Left is much better (your own view)", run: () => choose("left", "strong") },
  { id: "right-strong", keys: ["Shift+2"], label: "Right is much better (your own view)", run: () => choose("right", "strong") },
  { id: "tie", keys: ["3"], label: "Tie: equally good", run: () => choose("tie") },
  { id: "both-bad", keys: ["4"], label: "Both are bad", run: () => choose("both_bad") },
  { id: "undecidable", keys: ["5"], label: "It can't be decided (never trained on)", run: () => choose("undecidable") },
  { id: "prompt", keys: ["p"], label: "They disagreed because the prompt is unclear", run: () => blame("underspecified_prompt") },
  { id: "style", keys: ["s"], label: "They disagreed about style", run: () => blame("style") },
  { id: "refusal", keys: ["r"], label: "They disagreed about a refusal", run: () => blame("refusal") },
  { id: "error", keys: ["x"], label: "Somebody made an error", run: () => blame("error") },
  { id: "gap", keys: ["l"], label: "The guidelines don't say", run: () => blame("guideline_gap") },
  { id: "note", keys: ["n"], label: "Write why (it goes with your view or decision)", run: () => toggleNote() },
  { id: "discuss", keys: ["m"], label: "Write to the other adjudicators", run: () => discuss() },
  { id: "undo", keys: ["z", "Backspace"], label: "Take the decision back", run: () => undo() },
  { id: "gold", keys: ["g"], label: "Make it a hidden gold pair", run: () => makeGold("hidden") },
  { id: "teach", keys: ["Shift+g"], label: "Make it a qualification pair", run: () => makeGold("qualification") },
  { id: "example", keys: ["e"], label: "Put it into the guidelines as an example", run: () => makeExample() },
  { id: "next", keys: ["j", "ArrowDown"], label: "Next case", run: () => step(1) },
  { id: "previous", keys: ["k", "ArrowUp"], label: "Previous case", run: () => step(-1) },
  { id: "filter", keys: ["f"], label: "Show another part of the list", run: () => nextFilter() },
  { id: "raw", keys: ["v"], label: "Raw text or rendered", run: () => toggle("raw") },
  { id: "marks", keys: ["d"], label: "Mark what the other answer does not have", run: () => toggle("marks") },
  { id: "copy", keys: ["c"], label: "Copy the prompt and both answers", run: () => copyCard("all") },
  { id: "help", keys: ["?"], label: "Keys: see and change them", run: () => find('[data-dialog="help"]').showModal() },
];
