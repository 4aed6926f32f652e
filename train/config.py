"""The [train] section of pairloop.toml."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.words import many

MAX_FLIP_RATE = 0.49  # the robust loss divides by 1 - 2 * flip rate


class Method(StrEnum):
    """What is made of the settled pairs."""

    DPO = "dpo"
    KTO = "kto"  # each answer by itself: wanted or not
    SFT = "sft"  # the chosen answers alone
    REWARD = "reward"  # a model that scores answers, not a policy
    SIMPO = "simpo"
    ORPO = "orpo"
    GRPO = "grpo"  # answers of its own, scored by a reward model
    RLOO = "rloo"


EXPERIMENTAL = (Method.SIMPO, Method.ORPO)  # in trl.experimental
RLHF = (Method.GRPO, Method.RLOO)  # learn from a reward model, not from the pairs themselves
WITH_REFERENCE = (Method.DPO, Method.KTO, *RLHF)
WEIGHED = (Method.DPO, Method.KTO, Method.REWARD, Method.SIMPO)  # pairs may count unlike


class Ties(StrEnum):
    """What is made of a tie."""

    LEAVE_OUT = "leave_out"
    DESIRABLE = "desirable"  # kto: where people call a tie between two good answers
    SOFT = "soft"  # dpo: a pair whose answers are better with probability 0.5 each


class BothBad(StrEnum):
    """What KTO makes of two answers of which neither is acceptable."""

    LEAVE_OUT = "leave_out"
    UNDESIRABLE = "undesirable"


class Loss(StrEnum):
    """Which preference loss DPO trains."""

    SIGMOID = "sigmoid"
    SIGMOID_NORM = "sigmoid_norm"
    IPO = "ipo"
    ROBUST = "robust"
    HINGE = "hinge"
    APO_ZERO = "apo_zero"
    APO_DOWN = "apo_down"


# Of a pair labeled 0.5 these losses pull the margin to 0. The others pull nowhere (apo_zero; hinge
# up to a margin of 1) or push both answers down (apo_down).
EVEN = (Loss.SIGMOID, Loss.SIGMOID_NORM, Loss.IPO, Loss.ROBUST)


class Tuning(StrEnum):
    """Which weights are trained."""

    LORA = "lora"
    QLORA = "qlora"  # the adapter on a base held in four bits; needs a GPU and bitsandbytes
    FULL = "full"


class Start(StrEnum):
    """What a round's adapter begins as."""

    CONTINUE = "continue"  # the last round's
    FRESH = "fresh"  # a new one on the base model


class Launch(BaseModel):
    """Training by several processes, started by `accelerate launch`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str = "ddp"  # one of SHIPPED, or the path of an accelerate config file
    processes: Annotated[int, Field(ge=1)] = 1  # in all: one for each GPU of all machines
    machines: Annotated[int, Field(ge=1)] = 1
    main_address: str = ""  # HOST:PORT of machine 0, where the others meet it

    @model_validator(mode="after")
    def _adds_up(self) -> "Launch":
        if self.processes % self.machines:
            raise ValueError(
                f"processes = {self.processes} is in all and not the same number on each of "
                f"{many(self.machines, 'machine')}: set a multiple of machines"
            )
        host, _, port = self.main_address.rpartition(":")
        if self.machines > 1 and not (host and port.isdecimal()):
            raise ValueError(
                "several machines meet at one of them: set main_address to the HOST:PORT of the "
                'machine that has --machine-rank 0, as "10.0.0.1:29500"'
            )
        return self


SHIPPED = ("ddp", "fsdp", "deepspeed-zero2", "deepspeed-zero3")  # train/launch_configs/*.yaml

PREVIOUS, SFT = "previous", "sft"  # references by name; anything else is a policy id or round-N


# SimPO's is of another size: 2 to 10 (Meng et al. 2024, table 8). GRPO's: Shao et al. 2024, section
# 4.2; RLOO's is TRL's.
_BETAS = {Method.SIMPO: 2.0, Method.GRPO: 0.04, Method.RLOO: 0.05}

_ONLY: dict[str, tuple[Method, ...]] = {
    "loss": (Method.DPO,),
    "flip_rate": (Method.DPO,),
    "soft_labels": (Method.DPO,),
    "pair_weights": WEIGHED,
    "sft_weight": (Method.DPO,),
    "reference": WITH_REFERENCE,
    "beta": (*WITH_REFERENCE, Method.SIMPO, Method.ORPO),
    "edits": tuple(m for m in Method if m not in RLHF),
    "launch": tuple(m for m in Method if m not in RLHF),
    "ties": (Method.DPO, Method.KTO),
    "both_bad": (Method.KTO,),
    "desirable_weight": (Method.KTO,),
    "undesirable_weight": (Method.KTO,),
    "simpo_gamma": (Method.SIMPO,),
    "strength_margin": (Method.REWARD,),
    "num_generations": RLHF,
    "max_completion_length": RLHF,
    "temperature": RLHF,
}


def settings_of(method: Method, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """[train] as it would read for a method: what stays, and the keys left out, of other methods."""
    others = sorted(name for name in given if method not in _ONLY.get(name, Method))
    kept = {name: value for name, value in given.items() if name not in others}
    return kept | {"method": method.value}, others


class TrainConfig(BaseModel):
    """How settled pairs become the next policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Method = Method.DPO
    loss: Loss = Loss.SIGMOID
    beta: Annotated[float, Field(gt=0)] = 0.1  # simpo, grpo and rloo have defaults of their own
    flip_rate: Annotated[float | None, Field(ge=0, le=MAX_FLIP_RATE)] = (
        None  # of votes, for the robust loss; None: as measured in this project
    )
    soft_labels: bool = False  # train towards the votes' probability, not towards certainty
    pair_weights: bool = True  # by how sure the votes are; False: every pair alike
    sft_weight: Annotated[float, Field(ge=0)] = (
        0.0  # of the chosen answers' own loss, added to DPO's
    )
    edits: bool = False  # edited > chosen > rejected, where a labeler edited the winner
    ties: Ties = Ties.LEAVE_OUT  # for dpo and kto
    both_bad: BothBad = BothBad.LEAVE_OUT  # for kto
    desirable_weight: Annotated[float | None, Field(gt=0)] = None  # for kto; None: balanced
    undesirable_weight: Annotated[float | None, Field(gt=0)] = None  # for kto; None: balanced
    simpo_gamma: Annotated[float, Field(ge=0)] = 1.0  # target margin, in units of the loss
    strength_margin: bool = True  # reward: clearer preferences are set further apart
    num_generations: Annotated[int, Field(ge=2)] = 8  # answers to a prompt, compared among them
    max_completion_length: Annotated[int, Field(ge=1)] = 512  # tokens of an answer
    temperature: Annotated[float, Field(gt=0)] = 1.0  # that the answers are sampled at
    tuning: Tuning = Tuning.LORA
    start: Start = Start.CONTINUE
    reference: str = PREVIOUS
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-5  # LoRA on a model of billions
    epochs: Annotated[float, Field(gt=0)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 32  # pairs (kto, grpo, rloo: answers) per step
    device_batch_size: Annotated[int, Field(ge=1)] = 8  # the same, at once
    group_by_length: bool = True  # pairs of like length share a batch: less padding
    max_length: Annotated[int, Field(ge=2)] = 2048  # tokens of prompt and answer; longer is refused
    lora_rank: Annotated[int, Field(ge=1, le=64)] = 16
    lora_alpha: Annotated[int, Field(ge=1)] = 32
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share of the steps
    judge_votes: bool = False  # train on pairs that only language models judged, too
    min_triplets: Annotated[int, Field(ge=1)] = 20
    checkpoints: Annotated[int, Field(ge=1)] = 5  # per run, to resume from after a kill
    gradient_checkpointing: bool = False
    price_per_hour: Annotated[float | None, Field(ge=0)] = None  # of the machine, for the estimate
    seed: int = 0
    launch: Launch | None = None  # None: one process, on one GPU

    @property
    def processes(self) -> int:
        """How many train together."""
        return self.launch.processes if self.launch else 1

    @property
    def at_once(self) -> int:
        """Pairs (kto: answers) that one process takes at once: as many as train.device_batch_size
        allows and as divide its share of a step evenly.
        """
        share = self.batch_size // self.processes
        return next(n for n in range(self.device_batch_size, 0, -1) if share % n == 0)

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        """A beta of the method's own size."""
        method = given.get("method") if isinstance(given, Mapping) else None
        if isinstance(method, str) and method in _BETAS:
            return {"beta": _BETAS[Method(method)]} | dict(given)
        return given

    @model_validator(mode="after")
    def _of_the_method(self) -> "TrainConfig":
        if self.launch and self.method in RLHF:
            raise ValueError(
                f'method = "{self.method.value}" trains in one process: the answers that it writes '
                "itself are generated, scored and checked there. Take launch out: a larger "
                "batch_size fits on one GPU with a lower device_batch_size"
            )
        fields = type(self).model_fields
        for name in sorted(self.model_fields_set & _ONLY.keys()):
            if self.method not in _ONLY[name] and getattr(self, name) != fields[name].default:
                those = " or ".join(f'"{m.value}"' for m in _ONLY[name])
                raise ValueError(
                    f'{name} is not used by method = "{self.method.value}", only by {those}: take '
                    f"{name} out, or set method = {those}"
                )
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size = {self.batch_size} is of all processes together and cannot be divided "
                f"among launch.processes = {self.processes}: set a multiple of it"
            )
        if self.method is Method.KTO and self.at_once < 2:
            raise ValueError(
                'method = "kto" compares the answers of a batch with each other: set '
                "device_batch_size and batch_size to 2 or more, an even number for each process"
            )
        if self.launch and self.tuning is Tuning.QLORA and self.launch.config != "ddp":
            raise ValueError(
                'tuning = "qlora" keeps the base model in four bits, which only launch.config = '
                f'"ddp" can: set that, or tuning = "lora" with "{self.launch.config}"'
            )
        if (self.method, self.ties) in ((Method.DPO, Ties.DESIRABLE), (Method.KTO, Ties.SOFT)):
            raise ValueError(
                f'ties = "{self.ties.value}" is not of method = "{self.method.value}": set "soft" '
                'for "dpo", "desirable" for "kto", or take ties out'
            )
        return self

    @model_validator(mode="after")
    def _ties_can_be_soft(self) -> "TrainConfig":
        if self.ties is Ties.SOFT and self.loss not in EVEN:
            those = ", ".join(f'"{loss.value}"' for loss in EVEN)
            raise ValueError(
                f'loss = "{self.loss.value}" learns nothing right from a tie: of a pair labeled 0.5 '
                f"it pulls neither answer, or pushes both down. Set loss to one of {those}, or take "
                'ties = "soft" out'
            )
        return self

    @model_validator(mode="after")
    def _whole_groups(self) -> "TrainConfig":
        if self.method in RLHF and self.batch_size % self.num_generations:
            raise ValueError(
                f"a step takes batch_size = {many(self.batch_size, 'answer')}, which cannot be divided into "
                f"groups of num_generations = {self.num_generations}: set batch_size to a multiple "
                "of it"
            )
        return self

    @model_validator(mode="after")
    def _fits(self) -> "TrainConfig":
        needs_reference = self.method in WITH_REFERENCE
        if self.start is Start.FRESH and needs_reference and self.reference != SFT:
            raise ValueError(
                'start = "fresh" trains a new adapter on the base model, so its reference is that '
                'model: set reference = "sft" too'
            )
        return self
