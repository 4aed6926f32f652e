"""Files that other training tools take, written beside an export's data and read again at once.

OUT/handoff/trl/dpo.yaml            for `trl dpo --config`, reads the export itself
OUT/handoff/axolotl/dpo.yaml        with train.jsonl: {"messages": [...], "chosen": {...}, "rejected": {...}}
OUT/handoff/llama-factory/dpo.yaml  with dataset_info.json and train.jsonl of the same form
OUT/handoff/unsloth/dpo.py          a script for Unsloth's own environment

Every path in them is relative to the export's folder: copy it anywhere and start there. None of
these tools is imported: they pin other versions of TRL and transformers than this program runs on.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from storage.errors import ConfigurationError
from train.config import TrainConfig
from train.export_folder import write_jsonl
from train.export_formats import Format
from train.handoff_settings import (
    axolotl_settings,
    kto_message_row,
    llama_factory_data,
    llama_factory_settings,
    message_row,
    trl_settings,
    unsloth_script,
    write_yaml,
)
from train.handoff_verify import (
    Rows,
    Templated,
    alternating,
    verify_axolotl,
    verify_llama_factory,
    verify_trl,
    verify_unsloth,
)


class Tool(StrEnum):
    """Who is handed something."""

    TRL = "trl"
    AXOLOTL = "axolotl"
    LLAMA_FACTORY = "llama-factory"
    UNSLOTH = "unsloth"
    GGUF = "gguf"


TAKES = {
    Tool.TRL: (Format.DPO, Format.KTO, Format.REWARD),
    Tool.AXOLOTL: (Format.DPO,),
    Tool.LLAMA_FACTORY: (Format.DPO, Format.KTO),
    Tool.UNSLOTH: (Format.DPO,),
    Tool.GGUF: (),
}
NOT_PARSED = "turns do not alternate"
MISREAD = "the answer would be cut elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """To whom, and what to train there. base_model: a Hub id or an absolute path."""

    tools: Sequence[Tool]
    base_model: str
    config: TrainConfig


def check_handoff(tools: Sequence[Tool], shape: Format) -> None:
    """Raise ConfigurationError for a tool that does not take this format."""
    for tool in tools:
        if shape in TAKES[tool]:
            continue
        if not TAKES[tool]:
            raise ConfigurationError(
                f"--for {tool} is about a model, not about data. Use it with --policy."
            )
        raise ConfigurationError(
            f"--for {tool} takes --format {' or '.join(TAKES[tool])}, not {shape}."
        )


def write_handoffs(
    folder: Path, shape: Format, rows: Mapping[str, Rows], handoff: Handoff
) -> dict[str, Counter[str]]:
    """Write and re-read each tool's files; by tool the rows left out there, by reason."""
    left_out: dict[str, Counter[str]] = {}
    for tool in handoff.tools:
        place = folder / "handoff" / tool.value
        place.mkdir(parents=True)
        left: Counter[str] = Counter()
        match tool:
            case Tool.TRL:
                made = trl_settings(shape, rows, handoff.base_model, handoff.config)
                write_yaml(place / f"{shape}.yaml", made, _run("trl", shape))
                verify_trl(folder, place / f"{shape}.yaml", shape.value, rows)
            case Tool.AXOLOTL:
                left = _axolotl(folder, place, rows, handoff)
            case Tool.LLAMA_FACTORY:
                left = _llama_factory(folder, place, shape, rows, handoff)
            case Tool.UNSLOTH:
                path = place / "dpo.py"
                path.write_text(
                    unsloth_script(rows, handoff.base_model, handoff.config), encoding="utf-8"
                )
                verify_unsloth(folder, path, rows)
            case Tool.GGUF:
                raise AssertionError("check_handoff refuses it")
            case _:
                assert_never(tool)
        if left:
            left_out[tool.value] = left
    return left_out


def _run(tool: str, shape: Format) -> str:
    commands = {
        "trl": f"trl {shape} --config handoff/trl/{shape}.yaml",
        "axolotl": "axolotl train handoff/axolotl/dpo.yaml",
        "llama-factory": f"llamafactory-cli train handoff/llama-factory/{shape}.yaml",
    }
    return f"In the folder of the export: {commands[tool]}"


def _axolotl(folder: Path, place: Path, rows: Mapping[str, Rows], handoff: Handoff) -> Counter[str]:
    """Axolotl finds an answer in the rendered conversation by searching for its text: rows where
    that finds another place are left out.
    """
    templated = Templated(handoff.base_model)
    kept = {
        split: write_jsonl(
            place / f"{split}.jsonl",
            (r for r in map(message_row, found) if templated.axolotl_reads(r)),
        )
        for split, found in rows.items()
    }
    made = axolotl_settings(rows, handoff.base_model, handoff.config)
    write_yaml(place / "dpo.yaml", made, _run("axolotl", Format.DPO))
    verify_axolotl(folder, place / "dpo.yaml", rows, kept, templated)
    return +Counter({MISREAD: sum(len(rows[split]) - n for split, n in kept.items())})


def _llama_factory(
    folder: Path, place: Path, shape: Format, rows: Mapping[str, Rows], handoff: Handoff
) -> Counter[str]:
    """LLaMA-Factory skips a conversation whose turns do not alternate: such are left out here."""
    kto = shape is Format.KTO
    as_made = kto_message_row if kto else message_row
    kept = {
        split: write_jsonl(
            place / f"{split}.jsonl",
            (r for r in map(as_made, found) if alternating(r["messages"], whole=kto)),
        )
        for split, found in rows.items()
    }
    about = json.dumps(llama_factory_data(rows, kto=kto), indent=2)
    (place / "dataset_info.json").write_text(about + "\n", encoding="utf-8")
    made = llama_factory_settings(shape, rows, handoff.base_model, handoff.config)
    why = "Without `template` LLaMA-Factory takes the model's own chat template."
    write_yaml(place / f"{shape}.yaml", made, f"{_run('llama-factory', shape)}\n{why}")
    verify_llama_factory(folder, place / f"{shape}.yaml", rows, kept, kto=kto)
    return +Counter({NOT_PARSED: sum(len(rows[split]) - n for split, n in kept.items())})
