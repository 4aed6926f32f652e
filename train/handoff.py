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
from train.config import Loss, TrainConfig
from train.export_folder import write_jsonl
from train.export_formats import Format
from train.handoff_verify import (
    Templated,
    alternating,
    verify_axolotl,
    verify_llama_factory,
    verify_trl,
    verify_unsloth,
)
from train.rows import Row

Rows = Mapping[str, Sequence[Row]]


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
    folder: Path, shape: Format, rows: Rows, handoff: Handoff
) -> dict[str, Counter[str]]:
    """Write and re-read each tool's files; by tool the rows left out there, by reason."""
    left_out: dict[str, Counter[str]] = {}
    for tool in handoff.tools:
        place = folder / "handoff" / tool.value
        place.mkdir(parents=True)
        left: Counter[str] = Counter()
        match tool:
            case Tool.TRL:
                write_yaml(place / f"{shape}.yaml", _trl(shape, rows, handoff), _run("trl", shape))
                verify_trl(folder, place / f"{shape}.yaml", shape.value, rows)
            case Tool.AXOLOTL:
                left = _axolotl(folder, place, rows, handoff)
            case Tool.LLAMA_FACTORY:
                left = _llama_factory(folder, place, shape, rows, handoff)
            case Tool.UNSLOTH:
                path = place / "dpo.py"
                path.write_text(_unsloth(rows, handoff), encoding="utf-8")
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


def _accumulation(config: TrainConfig) -> int:
    return max(1, config.batch_size // config.device_batch_size)


def _trl(shape: Format, rows: Rows, handoff: Handoff) -> dict[str, object]:
    config = handoff.config
    made: dict[str, object] = {
        "model_name_or_path": handoff.base_model,
        "dtype": "bfloat16",
        "dataset_name": "./data",  # not ".": datasets takes its name from the path
        "dataset_train_split": "train" if "train" in rows else "validation",
        "use_peft": True,
        "lora_r": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_target_modules": "all-linear",
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": config.device_batch_size,
        "gradient_accumulation_steps": _accumulation(config),
        "max_length": config.max_length,
        "warmup_steps": config.warmup,
        "gradient_checkpointing": config.gradient_checkpointing,
        "seed": config.seed,
        "logging_steps": 1,
        "output_dir": f"trained-{shape}",
    }
    if "validation" in rows:
        made |= {"dataset_test_split": "validation", "eval_strategy": "epoch"}
    if shape is not Format.REWARD:
        made["beta"] = config.beta
    if shape is Format.DPO:
        made["loss_type"] = [config.loss.value]
        if config.loss is Loss.ROBUST and config.flip_rate is not None:
            made["label_smoothing"] = config.flip_rate
    return made


def _axolotl(folder: Path, place: Path, rows: Rows, handoff: Handoff) -> Counter[str]:
    """Axolotl finds an answer in the rendered conversation by searching for its text: rows where
    that finds another place are left out.
    """
    config = handoff.config
    templated = Templated(handoff.base_model)
    left: Counter[str] = Counter()
    parts: dict[str, list[Row]] = {}
    for split, found in rows.items():
        good = [r for r in map(_message_row, found) if templated.axolotl_reads(r)]
        left[MISREAD] += len(found) - len(good)
        parts[split] = good
        write_jsonl(place / f"{split}.jsonl", good)

    def data(split: str) -> dict[str, object]:
        return {
            "path": f"handoff/axolotl/{split}.jsonl",
            "ds_type": "json",
            "split": "train",  # of a file all rows are
            "type": "chat_template.default",
            "field_messages": "messages",
            "field_chosen": "chosen",
            "field_rejected": "rejected",
        }

    made: dict[str, object] = {
        "base_model": handoff.base_model,
        "rl": "dpo",
        "rl_beta": config.beta,
        "chat_template": "tokenizer_default",
        "datasets": [data("train" if "train" in rows else "validation")],
        "adapter": "lora",
        "lora_r": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_target_linear": True,
        "sequence_len": config.max_length,
        "sample_packing": False,
        "learning_rate": config.learning_rate,
        "num_epochs": config.epochs,
        "micro_batch_size": config.device_batch_size,
        "gradient_accumulation_steps": _accumulation(config),
        "warmup_ratio": config.warmup,
        "optimizer": "adamw_torch_fused",
        "lr_scheduler": "linear",
        "bf16": "auto",
        "seed": config.seed,
        "output_dir": "trained-dpo",
    }
    if "validation" in rows:
        made["test_datasets"] = [data("validation")]
    write_yaml(place / "dpo.yaml", made, _run("axolotl", Format.DPO))
    verify_axolotl(folder, place / "dpo.yaml", parts, templated)
    return +left


def _message_row(row: Row) -> Row:
    chosen, rejected = row["chosen"], row["rejected"]
    assert isinstance(chosen, list), "an answer is a list of one turn"
    assert isinstance(rejected, list), "an answer is a list of one turn"
    return {"messages": row["prompt"], "chosen": chosen[0], "rejected": rejected[0]}


def _llama_factory(
    folder: Path, place: Path, shape: Format, rows: Rows, handoff: Handoff
) -> Counter[str]:
    """LLaMA-Factory skips a conversation whose turns do not alternate: such are left out here."""
    config, kto = handoff.config, shape is Format.KTO
    left: Counter[str] = Counter()
    parts: dict[str, list[Row]] = {}
    info: dict[str, object] = {}
    columns = {"messages": "messages"}
    columns |= {"kto_tag": "label"} if kto else {"chosen": "chosen", "rejected": "rejected"}
    for split, found in rows.items():
        made = [_kto_message_row(r) if kto else _message_row(r) for r in found]
        parts[split] = [r for r in made if alternating(r["messages"], whole=kto)]
        left[NOT_PARSED] += len(found) - len(parts[split])
        write_jsonl(place / f"{split}.jsonl", parts[split])
        info[f"pairloop_{split}"] = {
            "file_name": f"{split}.jsonl",
            "formatting": "sharegpt",
            **({} if kto else {"ranking": True}),
            "columns": columns,
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
    (place / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")
    made_config: dict[str, object] = {
        "model_name_or_path": handoff.base_model,
        "stage": shape.value,
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_target": "all",
        "pref_beta": config.beta,
        "dataset_dir": "handoff/llama-factory",
        "dataset": "pairloop_train" if "train" in rows else "pairloop_validation",
        "cutoff_len": config.max_length,
        "per_device_train_batch_size": config.device_batch_size,
        "gradient_accumulation_steps": _accumulation(config),
        "learning_rate": config.learning_rate,
        "num_train_epochs": config.epochs,
        "warmup_ratio": config.warmup,
        "bf16": True,
        "seed": config.seed,
        "output_dir": f"trained-{shape}",
    }
    if not kto:
        made_config["pref_loss"] = "sigmoid"
    if "validation" in rows:
        made_config |= {"eval_dataset": "pairloop_validation", "eval_strategy": "epoch"}
    why = "Without `template` LLaMA-Factory takes the model's own chat template."
    write_yaml(place / f"{shape}.yaml", made_config, f"{_run('llama-factory', shape)}\n{why}")
    verify_llama_factory(folder, place / f"{shape}.yaml", parts, kto=kto)
    return +left


def _kto_message_row(row: Row) -> Row:
    prompt, completion = row["prompt"], row["completion"]
    assert isinstance(prompt, list), "a prompt is a list of turns"
    assert isinstance(completion, list), "an answer is a list of one turn"
    return {"messages": [*prompt, *completion], "label": row["label"]}


UNSLOTH = '''"""In the folder of the export, in an environment with Unsloth: python handoff/unsloth/dpo.py"""

from unsloth import FastLanguageModel  # first: it patches what is imported after it

from datasets import load_dataset
from trl import DPOConfig, DPOTrainer

FILES = {files}
COLUMNS = ["prompt", "chosen", "rejected"]


def main() -> None:
    data = load_dataset("parquet", data_files=FILES).select_columns(COLUMNS)
    model, tokenizer = FastLanguageModel.from_pretrained(
        {model}, max_seq_length={max_length}, load_in_4bit=False
    )
    model = FastLanguageModel.get_peft_model(
        model, r={rank}, lora_alpha={alpha}, random_state={seed}
    )
    arguments = DPOConfig(
        beta={beta},
        learning_rate={learning_rate},
        num_train_epochs={epochs},
        per_device_train_batch_size={batch},
        gradient_accumulation_steps={accumulation},
        max_length={max_length},
        seed={seed},
        logging_steps=1,
        output_dir="trained-dpo",
    )
    trainer = DPOTrainer(
        model=model,
        args=arguments,
        train_dataset=data[{train!r}],
        eval_dataset={evaluation},
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
'''


def _unsloth(rows: Rows, handoff: Handoff) -> str:
    config = handoff.config
    return UNSLOTH.format(
        files=json.dumps({split: f"data/{split}.parquet" for split in rows}),
        model=json.dumps(handoff.base_model),
        max_length=config.max_length,
        rank=config.lora_rank,
        alpha=config.lora_alpha,
        seed=config.seed,
        beta=config.beta,
        learning_rate=config.learning_rate,
        epochs=config.epochs,
        batch=config.device_batch_size,
        accumulation=_accumulation(config),
        train="train" if "train" in rows else "validation",
        evaluation='data["validation"]' if "validation" in rows else "None",
    )


def write_yaml(path: Path, values: Mapping[str, object], comment: str) -> None:
    """Flat keys with JSON values, which YAML reads; floats with the point that YAML 1.1 wants."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"{key}: {_yaml(value)}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _yaml(value: object) -> str:
    if isinstance(value, float) and "e" in repr(value) and "." not in repr(value):
        return repr(value).replace("e", ".0e")  # "1e-05" alone is a string to YAML 1.1
    return json.dumps(value, ensure_ascii=False)
