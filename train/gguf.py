"""Hand-off of a policy to llama.cpp and Ollama: the commands, a Modelfile, and a template check.

OUT/gguf/convert.sh         llama.cpp's commands, from the exported folder to a quantised GGUF file
OUT/gguf/Modelfile          for `ollama create`
OUT/gguf/check_template.py  compares the GGUF file's chat template and end token with the model's

Ollama renders conversations with a Go template, not with the model's Jinja one. The Go template is
made of the pieces between the turns that the model's own template writes, and kept only where it
renders test conversations to the same text.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from storage.errors import ModelError

Turns = Sequence[dict[str, str]]
U, A, S = ({"role": r, "content": f"%{r}%"} for r in ("user", "assistant", "system"))
PROBES: tuple[Turns, ...] = ([U], [S, U], [U, A, U], [S, U, A, U, A, U])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What a template writes around the turns. start: before the first where none is the system's."""

    start: str
    before_system: str
    after_system: str
    before_user: str
    after_user: str
    before_assistant: str
    after_assistant: str
    answer_next: str

    def rendered(self, turns: Turns) -> str:
        """The text before an answer to these turns."""
        around = {
            "system": (self.before_system, self.after_system),
            "user": (self.before_user, self.after_user),
            "assistant": (self.before_assistant, self.after_assistant),
        }
        start = "" if turns[0]["role"] == "system" else self.start
        parts = [around[t["role"]][0] + t["content"] + around[t["role"]][1] for t in turns]
        return start + "".join(parts) + self.answer_next


GO = (
    '{{{{ if not .System }}}}{0}{{{{ end }}}}{{{{ range .Messages }}}}{{{{ if eq .Role "system" }}}}'
    '{1}{{{{ .Content }}}}{2}{{{{ else if eq .Role "user" }}}}{3}{{{{ .Content }}}}{4}'
    '{{{{ else if eq .Role "assistant" }}}}{5}{{{{ .Content }}}}{6}{{{{ end }}}}{{{{ end }}}}{7}'
)


def pieces_of(tokenizer: Any) -> Pieces | None:
    """Take the model's template apart; None where it is not made of such pieces.

    The leading BOS is left out: llama.cpp adds it.
    """
    from jinja2 import TemplateError

    def render(turns: Turns, *, answer_next: bool = False) -> str:
        text: str = tokenizer.apply_chat_template(
            list(turns), add_generation_prompt=answer_next, tokenize=False
        )
        return text.removeprefix(tokenizer.bos_token or "")

    try:
        head, user_to_answer, answer_to_user, _ = _between(render([U, A, U]), [U, A, U])
        before_system, system_to_user, _ = _between(render([S, U]), [S, U])
        user_to_next = _between(render([U], answer_next=True), [U])[-1]
        before_user = _common_end(head, answer_to_user, system_to_user)
        after_system = system_to_user.removesuffix(before_user)
        ends_alike = all(x.startswith(after_system) for x in (user_to_answer, user_to_next))
        after_user = after_system if ends_alike else ""
        found = Pieces(
            start=head.removesuffix(before_user),
            before_system=before_system,
            after_system=after_system,
            before_user=before_user,
            after_user=after_user,
            before_assistant=user_to_answer.removeprefix(after_user),
            after_assistant=answer_to_user.removesuffix(before_user),
            answer_next=user_to_next.removeprefix(after_user),
        )
        same = all(found.rendered(p) == render(p, answer_next=True) for p in PROBES)
    except (
        ValueError,
        TemplateError,
    ):  # a template may refuse a conversation, such as a system turn
        return None
    return found if same else None


def _between(text: str, turns: Turns) -> list[str]:
    parts = []
    for turn in turns:
        before, content, text = text.partition(turn["content"])
        if not content:
            raise ValueError("the template leaves out a turn")
        parts.append(before)
    return [*parts, text]


def _common_end(*texts: str) -> str:
    end = min(texts, key=len)
    while not all(text.endswith(end) for text in texts):
        end = end[1:]
    return end


CONVERT = """#!/bin/sh
# Run in the exported folder. LLAMA_CPP is a built checkout of https://github.com/ggml-org/llama.cpp
set -eu
: "${{LLAMA_CPP:?set LLAMA_CPP to the folder of llama.cpp}}"
{steps}
"""
WHOLE = """python "$LLAMA_CPP/convert_hf_to_gguf.py" . --outfile gguf/model-f16.gguf --outtype f16
python gguf/check_template.py gguf/model-f16.gguf
"$LLAMA_CPP/build/bin/llama-quantize" gguf/model-f16.gguf gguf/model.gguf Q4_K_M
ollama create my-policy -f gguf/Modelfile"""
ADAPTER = """: "${{BASE:?set BASE to a folder with the base model, {base}}}"
python "$LLAMA_CPP/convert_hf_to_gguf.py" "$BASE" --outfile gguf/model.gguf --outtype f16
python gguf/check_template.py gguf/model.gguf
python "$LLAMA_CPP/convert_lora_to_gguf.py" . --base "$BASE" --outfile gguf/adapter.gguf
ollama create my-policy -f gguf/Modelfile"""
CHECK = '''"""Usage: python check_template.py MODEL.gguf, with llama.cpp's `gguf` package (pip install gguf)."""

import sys

from gguf import GGUFReader

TEMPLATE = {template}
END = {end}

fields = GGUFReader(sys.argv[1]).fields
found = fields["tokenizer.chat_template"].contents()
end = int(fields["tokenizer.ggml.eos_token_id"].contents())
if found.strip() != TEMPLATE.strip():
    sys.exit("The GGUF file has another chat template than the model was trained with.")
if end != END:
    sys.exit(f"The GGUF file ends answers with token {{end}}, the model with token {{END}}.")
print("Same chat template, same end token.")
'''
NO_TEMPLATE = (
    "# No TEMPLATE: the model's template is not made of fixed pieces around the turns, so Ollama's "
    "form\n# can't be shown to render the same. Use llama-server --jinja, which takes the model's "
    "own.\n"
)


def write_gguf(folder: Path, tokenizer: Any, *, base: str, adapter: bool) -> bool:
    """Write the files and read the Modelfile again; whether it has a template."""
    place = folder / "gguf"
    place.mkdir()
    steps = ADAPTER.format(base=base) if adapter else WHOLE
    (place / "convert.sh").write_text(CONVERT.format(steps=steps), encoding="utf-8")
    check = CHECK.format(
        template=json.dumps(tokenizer.chat_template), end=json.dumps(tokenizer.eos_token_id)
    )
    (place / "check_template.py").write_text(check, encoding="utf-8")
    found = pieces_of(tokenizer)
    lines = ["FROM ./model.gguf\n", "ADAPTER ./adapter.gguf\n" if adapter else ""]
    if found is not None and any('"""' in piece or "{{" in piece for piece in astuple(found)):
        found = None
    lines.append(NO_TEMPLATE if found is None else f'TEMPLATE """{GO.format(*astuple(found))}"""\n')
    lines.append(f"PARAMETER stop {json.dumps(tokenizer.eos_token, ensure_ascii=False)}\n")
    (place / "Modelfile").write_text("".join(lines), encoding="utf-8")
    if found is not None and modelfile_pieces(place / "Modelfile") != found:
        raise ModelError(
            "The Modelfile, read again, renders another conversation than the model's template. "
            "Nothing was exported; please report this with the model's name."
        )
    return found is not None


def modelfile_pieces(path: Path) -> Pieces | None:
    """The pieces of a Modelfile's TEMPLATE as a Go template of this form means them."""
    text = path.read_text(encoding="utf-8")
    inside = re.search(r'^TEMPLATE """(.*?)"""$', text, re.MULTILINE | re.DOTALL)
    if inside is None:
        return None
    form = re.escape(GO.format(*["\0"] * 8)).replace(re.escape("\0"), "(.*?)")
    parts = re.fullmatch(form, inside.group(1), re.DOTALL)
    if parts is None:
        return None
    names = Pieces.__dataclass_fields__
    return Pieces(**dict(zip(names, parts.groups(), strict=True)))
