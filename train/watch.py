"""What a run's figures warn of while it runs. Pure: the history of logged steps in, words out."""

from collections.abc import Mapping, Sequence

from storage.words import many

DISPLACED = 0.15  # of the chosen answers' log-probability per token at the start
MARGIN = 10.0  # reward: at beta 0.1 the policy calls it e^10 to 1
EARLY = 0.2  # of the run
LEARNED = 0.02  # reward margin
PATIENCE = 100  # steps
COLLAPSED = 0.3  # of the entropy at the start
STEEP = 100.0  # gradient norm
WINDOW = 10  # steps an average is over
FAR = 0.5  # KL to the reference, nats per token: the reward model never saw such answers
ALIKE = 0.5  # of the groups, all of whose answers score alike
CUT = 0.5  # of the answers


def warnings_of(history: Sequence[Mapping[str, float]], *, steps: int) -> dict[str, str]:
    """Warning by name. history: logged steps in order, as TRL names its metrics; steps: in all."""
    if not history:
        return {}
    found = {}
    for name, warn in _RULES.items():
        words = warn(history, steps)
        if words:
            found[name] = words
    return found


def _displacement(history: Sequence[Mapping[str, float]], _steps: int) -> str:
    start, now = _start(history, _LOGP), _mean(history, _LOGP)
    if start is None or now is None or start - now <= DISPLACED * abs(start):
        return ""
    return (
        f"chosen answers are becoming less likely ({start:.2f} to {now:.2f} nats per token): "
        "train.sft_weight = 0.1 or train.loss = apo_zero holds against it"
    )


def _overfitting(history: Sequence[Mapping[str, float]], steps: int) -> str:
    margin = _mean(history, "rewards/margins")
    if margin is not None and margin > MARGIN:
        return f"the reward margin is {margin:.1f}: lower train.learning_rate or train.epochs"
    accuracy = _mean(history, "rewards/accuracies")
    early = len(history) >= WINDOW and len(history) <= EARLY * steps
    if early and accuracy == 1.0:
        return (
            f"every training pair is right after {len(history)} of {many(steps, 'step')}: lower "
            "train.learning_rate"
        )
    return ""


def _not_learning(history: Sequence[Mapping[str, float]], steps: int) -> str:
    margin = _mean(history, "rewards/margins")
    due = min(PATIENCE, max(WINDOW, steps // 2))
    if margin is None or len(history) < due or abs(margin) >= LEARNED:
        return ""
    return (
        f"after {many(len(history), 'step')} the reward margin is {margin:.3f}: raise "
        "train.learning_rate, or the labels say nothing"
    )


def _gradient(history: Sequence[Mapping[str, float]], _steps: int) -> str:
    norm = history[-1].get("grad_norm")
    if norm == 0:
        return "the gradient is 0: nothing is being trained"
    if norm is not None and norm > STEEP:
        return f"the gradient's norm is {norm:.0f}: lower train.learning_rate"
    return ""


def _entropy(history: Sequence[Mapping[str, float]], _steps: int) -> str:
    start, now = _start(history, "entropy"), _mean(history, "entropy")
    if start is None or now is None or now >= COLLAPSED * start:
        return ""
    return (
        f"answers are losing their variety (entropy {start:.2f} to {now:.2f}): raise train.beta "
        "or stop earlier"
    )


def _drift(history: Sequence[Mapping[str, float]], _steps: int) -> str:
    kl = _mean(history, "kl") if "reward" in history[-1] else None
    if kl is None or kl <= FAR:
        return ""
    return (
        f"answers are {kl:.2f} nats per token from the reference's: scores of such answers may be "
        "wrong. Raise train.beta or stop earlier"
    )


def _no_contrast(history: Sequence[Mapping[str, float]], _steps: int) -> str:
    share = _mean(history, "frac_reward_zero_std")
    if share is None or share <= ALIKE:
        return ""
    return (
        f"in {share:.0%} of the groups all answers score alike, which teaches nothing: raise "
        "train.temperature or train.num_generations"
    )


def _cut(history: Sequence[Mapping[str, float]], _steps: int) -> str:
    share = _mean(history, "completions/clipped_ratio")
    if share is None or share <= CUT:
        return ""
    return f"{share:.0%} of the answers are cut: raise train.max_completion_length"


_LOGP = "logps/chosen_per_token"
_RULES = {
    "displacement": _displacement,
    "overfitting": _overfitting,
    "not learning": _not_learning,
    "gradient": _gradient,
    "entropy": _entropy,
    "far from the reference": _drift,
    "no contrast": _no_contrast,
    "cut answers": _cut,
}


def _start(history: Sequence[Mapping[str, float]], name: str) -> float | None:
    return _mean(history[:WINDOW], name) if len(history) >= 2 * WINDOW else None


def _mean(history: Sequence[Mapping[str, float]], name: str) -> float | None:
    values = [row[name] for row in history[-WINDOW:] if name in row]
    return sum(values) / len(values) if values else None
