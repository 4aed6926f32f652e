"""What such training usually needs of its settings. Pure."""

from train.config import RLHF, WITH_REFERENCE, Loss, Method, TrainConfig, Tuning

FEW_STEPS = 10
LOOSE = 0.001  # beta of the KL to the reference
LORA_RATES, FULL_RATES = (2e-6, 2e-4), (1e-7, 5e-6)


def steps_of(config: TrainConfig, rows: int) -> float:
    """Optimizer steps of so many rows."""
    return -(-rows // config.batch_size) * config.epochs


def unusual(config: TrainConfig, *, steps: float) -> list[str]:
    """What of rate, beta and steps is outside the usual, in words."""
    found = []
    full = config.tuning is Tuning.FULL
    low, high = FULL_RATES if full else LORA_RATES
    if not low <= config.learning_rate <= high:
        kind = "full fine-tuning" if full else "LoRA"
        found.append(
            f"train.learning_rate = {config.learning_rate:g} is outside the usual {low:g} to "
            f"{high:g} of {kind}"
        )
    large = [
        name
        for name, wants in (
            ("sigmoid_norm", config.method is Method.DPO and config.loss is Loss.SIGMOID_NORM),
            ("simpo", config.method is Method.SIMPO),
        )
        if wants
    ]
    if large and config.beta < 1:
        found.append(f"{large[0]} wants a beta of 2 to 10, train.beta is {config.beta:g}")
    if not large and config.method in WITH_REFERENCE and config.beta > 1:
        found.append(f"train.beta = {config.beta:g} holds the policy at its reference")
    if config.method in RLHF and config.beta < LOOSE:
        found.append(f"train.beta = {config.beta:g} lets the policy please the reward model alone")
    if steps < FEW_STEPS:
        found.append(f"{steps:g} optimizer steps: lower train.batch_size or raise train.epochs")
    return found
