"""Whether the rule of pairloop.toml's [retrain] starts something now, and why not. Pure.

    Facts (how many pairs settled, how agreed, what ran last) -> Decision

Training counts from when the last one was begun, however that ended: what failed, or was stopped, is
begun again only when as many further pairs have settled.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from annotate.config import Retrain, Step
from storage.words import many

_NAMES = {"alpha": "Krippendorff's alpha", "observed": "observed agreement"}


class Outcome(StrEnum):
    """How a step that the rule started ended."""

    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastStep:
    """What the rule started last. message: the run's last word, or that it left none."""

    verb: str
    outcome: Outcome
    message: str
    overtaken: bool  # somebody has begun another run since


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rule looks at.

    running: the command that runs now, "" for none. new_pairs: pairs of the newest round with a
    preferred answer, settled since training was last begun. agreement: None where too few pairs
    have two votes.
    """

    now: datetime
    running: str
    new_pairs: int
    agreement: float | None
    training_begun: datetime | None
    last: LastStep | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to start now, None for nothing; why says it in a sentence."""

    start: Step | None
    why: str


def decide(rule: Retrain, facts: Facts) -> Decision:
    """One thing at a time: the next step of what was begun, or training where all conditions hold."""
    if rule.at_least is None:
        return Decision(start=None, why="There is no rule: training is started by hand.")
    if facts.running:
        return Decision(start=None, why=f"`{facts.running}` is running.")
    follows = _follows(rule, facts.last)
    if follows is not None:
        return Decision(start=follows, why=f"Training is done, so `pairloop {follows}` follows.")
    unmet = _unmet(rule, facts)
    if not unmet:
        return Decision(
            start=Step.TRAIN, why=f"{many(facts.new_pairs, 'pair is', 'pairs are')} newly settled."
        )
    return Decision(start=None, why=f"Not now: {'; '.join(unmet)}.{_after_trouble(facts.last)}")


def rule_words(rule: Retrain) -> str:
    """The rule in a sentence; "" where it is off."""
    if rule.at_least is None:
        return ""
    words = f"Train once {many(rule.at_least, 'pair is', 'pairs are')} newly settled"
    if rule.agreement_at_least is not None:
        words += f", {_NAMES[rule.agreement]} is at least {rule.agreement_at_least:g}"
    if rule.not_more_often_than_hours:
        words += f", at most every {rule.not_more_often_than_hours:g} hours"
    return words + "".join(f", then {step}" for step in rule.then[1:])


def _follows(rule: Retrain, last: LastStep | None) -> Step | None:
    if last is None or last.outcome is not Outcome.DONE or last.overtaken:
        return None
    steps = [step.value for step in rule.then]
    at = steps.index(last.verb) + 1 if last.verb in steps else len(steps)
    return rule.then[at] if at < len(steps) else None


def _unmet(rule: Retrain, facts: Facts) -> list[str]:
    found = []
    assert rule.at_least is not None, "asked only where there is a rule"
    if facts.new_pairs < rule.at_least:
        found.append(
            f"{facts.new_pairs} of {many(rule.at_least, 'pair is', 'pairs are')} newly settled"
        )
    if facts.training_begun is not None:
        again = facts.training_begun + timedelta(hours=rule.not_more_often_than_hours)
        if facts.now < again:
            found.append(
                f"training was last begun at {facts.training_begun:%Y-%m-%d %H:%M} UTC, so not "
                f"again before {again:%Y-%m-%d %H:%M} UTC"
            )
    if rule.agreement_at_least is not None:
        name = _NAMES[rule.agreement]
        if facts.agreement is None:
            found.append(f"{name} is not known: too few pairs have two votes")
        elif facts.agreement < rule.agreement_at_least:
            found.append(f"{name} is {facts.agreement:.3f}, below {rule.agreement_at_least:g}")
    return found


def _after_trouble(last: LastStep | None) -> str:
    if last is None or last.outcome is Outcome.DONE or last.overtaken:
        return ""
    how = "failed" if last.outcome is Outcome.FAILED else "was stopped"
    message = f" ({last.message})" if last.message else ""
    return (
        f" `pairloop {last.verb}`, which the rule started last, {how}{message}: start it by hand, or "
        "let as many further pairs settle."
    )
