"""An export's settings and rows in the words of other training tools."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from train.config import Loss, TrainConfig
from train.export_formats import Format
from train.rows import Row


def message_row(row: Row) -> Row:
    """A dpo row for Axolotl and LLaMA-Factory."""
    chosen, rejected = row["chosen"], row["rejected"]
    assert isinstance(chosen, list), "an answer is a list of one turn"
    assert isinstance(rejected, list), "an answer is a list of one turn"
    return {"messages": row["prompt"], "chosen": chosen[0], "rejected": rejected[0]}


def kto_message_row(row: Row) -> Row:
    """A kto row for LLaMA-Factory."""
    prompt, completion = row["prompt"], row["completion"]
    assert isinstance(prompt, list), "a prompt is a list of turns"
    assert isinstance(completion, list), "an answer is a list of one turn"
    return {"messages": [*prompt, *completion], "label": row["label"]}


def _accumulation(config: TrainConfig) -> int:
    return max(1, config.batch_size // config.device_batch_size)


def trl_settings(
    shape: Format, splits: Collection[str], base_model: str, config: TrainConfig
) -> dict[str, object]:
    """For `trl dpo|kto|reward --config`."""
    made: dict[str, object] = {
        "model_name_or_path": base_model,
        "dtype": "bfloat16",
        "dataset_name": "./data",  # not ".": datasets takes its name from the path
        "dataset_train_split": "train" if "train" in splits else "validation",
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
    if "validation" in splits:
        made |= {"dataset_test_split": "validation", "eval_strategy": "epoch"}
    if shape is not Format.REWARD:
        made["beta"] = config.beta
    if shape is Format.DPO:
        made["loss_type"] = [config.loss.value]
        if config.loss is Loss.ROBUST and config.flip_rate is not None:
            made["label_smoothing"] = config.flip_rate
    return made


def axolotl_settings(
    splits: Collection[str], base_model: str, config: TrainConfig
) -> dict[str, object]:
    """For `axolotl train`."""

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
        "base_model": base_model,
        "rl": "dpo",
        "rl_beta": config.beta,
        "chat_template": "tokenizer_default",
        "datasets": [data("train" if "train" in splits else "validation")],
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
    if "validation" in splits:
        made["test_datasets"] = [data("validation")]
    return made


def llama_factory_data(splits: Collection[str], *, kto: bool) -> dict[str, object]:
    """The dataset_info.json of these splits."""
    columns = {"messages": "messages"}
    columns |= {"kto_tag": "label"} if kto else {"chosen": "chosen", "rejected": "rejected"}
    return {
        f"pairloop_{split}": {
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
        for split in splits
    }


def llama_factory_settings(
    shape: Format, splits: Collection[str], base_model: str, config: TrainConfig
) -> dict[str, object]:
    """For `llamafactory-cli train`."""
    made: dict[str, object] = {
        "model_name_or_path": base_model,
        "stage": shape.value,
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": config.lora_rank,
        "lora_alpha": config.lora_alpha,
        "lora_target": "all",
        "pref_beta": config.beta,
        "dataset_dir": "handoff/llama-factory",
        "dataset": "pairloop_train" if "train" in splits else "pairloop_validation",
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
    if shape is not Format.KTO:
        made["pref_loss"] = "sigmoid"
    if "validation" in splits:
        made |= {"eval_dataset": "pairloop_validation", "eval_strategy": "epoch"}
    return made


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


def unsloth_script(splits: Collection[str], base_model: str, config: TrainConfig) -> str:
    """For Unsloth's own environment."""
    return UNSLOTH.format(
        files=json.dumps({split: f"data/{split}.parquet" for split in splits}),
        model=json.dumps(base_model),
        max_length=config.max_length,
        rank=config.lora_rank,
        alpha=config.lora_alpha,
        seed=config.seed,
        beta=config.beta,
        learning_rate=config.learning_rate,
        epochs=config.epochs,
        batch=config.device_batch_size,
        accumulation=_accumulation(config),
        train="train" if "train" in splits else "validation",
        evaluation='data["validation"]' if "validation" in splits else "None",
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
