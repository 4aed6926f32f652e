// Copying a pair's texts, and whether somebody is typing.

function isTyping(target) {
  if (target.isContentEditable || target.matches?.("textarea, select")) return true;
  return target.matches?.("input:not([type=checkbox], [type=radio], [type=button])") ?? false;
}

async function copyCard(what) {
  if (!card) return;
  const texts = {
    prompt: card.prompt_text,
    left: card.left_text,
    right: card.right_text,
    all: card.prompt_text + "\n\n[left]\n" + card.left_text + "\n\n[right]\n" + card.right_text,
  };
  const names = { prompt: "The prompt is", left: "The left answer is", right: "The right answer is", all: "The prompt and both answers are" };
  try {
    if (navigator.clipboard) await navigator.clipboard.writeText(texts[what]);
    else copyBySelection(texts[what]); // plain http has no clipboard
    announce(names[what] + " copied.");
  } catch {
    announce("The browser did not allow copying. Select the text and copy it yourself.");
  }
}

function copyBySelection(text) {
  const field = make("textarea", "pl-copying");
  field.value = text;
  field.setAttribute("aria-hidden", "true");
  app.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("not copied");
}
