"""The checks that need the model: the reference, the first step, and what a run will cost."""

from train.config import Method
from train.dry_step import DryStep, wrong_start
from train.preflight import Check, Light
from train.prepare import Job
from train.reference import MAX_BIAS, MAX_SPREAD, Reference, Source

BACKWARD_SHARE = 1.1  # of the dry step's seconds: with the optimizer's update


def model_checks(job: Job, reference: Reference | None, first: DryStep) -> list[Check]:
    """What was seen with the model loaded."""
    return [
        *([] if reference is None else [_reference(job, reference)]),
        _first_step(first),
        _cost(job, first),
    ]


def _reference(job: Job, found: Reference) -> Check:
    if found.source is Source.SAMPLER:
        finding = (
            f"the sampler's own log-probabilities serve: on {found.checked} pairs their rewards "
            f"are off by {found.error_mean:+.4f} on average, {found.error_spread:.4f} in spread"
        )
        return Check(name="reference", light=Light.GREEN, count=found.checked, finding=finding)
    if found.error_mean is None:
        finding = f"worked out with {job.reference.policy_id}"
        return Check(name="reference", light=Light.GREEN, count=0, finding=finding)
    finding = (
        f"the sampler's log-probabilities are off by {found.error_mean:+.3f} in reward on average, "
        f"{found.error_spread:.3f} in spread (at most {MAX_BIAS:g} and {MAX_SPREAD:g}), so the "
        "reference's were worked out"
    )
    return Check(
        name="reference",
        light=Light.AMBER,
        count=found.checked,
        finding=finding,
        fix="The sampler computes in another precision, or its engine's log-probabilities are not "
        "the raw ones. Training is right, and somewhat slower.",
    )


def _first_step(first: DryStep) -> Check:
    if not first.holds:
        return Check(
            name="first step",
            light=Light.RED,
            count=1,
            finding=wrong_start(first),
            fix="Train from the policy that sampled these answers.",
        )
    seen = f"loss {first.loss:.4f}"
    seen += "" if first.margin is None else f" and margin {first.margin:.4f}"
    seen += "".join(f", {name} {found:.4f}" for name, found, _ in first.others)
    finding = f"{seen} before the first step, as should be"
    return Check(name="first step", light=Light.GREEN, count=0, finding=finding)


def _cost(job: Job, first: DryStep) -> Check:
    hours = hours_of(job, first)
    parts = [f"about {_span(hours)} on this machine"]
    if first.peak_bytes:
        parts.append(f"{first.peak_bytes / 2**30:.1f} GiB of GPU memory at the longest pairs")
    if job.config.price_per_hour is not None:
        parts.append(
            f"{hours * job.config.price_per_hour:.2f} at {job.config.price_per_hour:g} an hour"
        )
    return Check(name="cost", light=Light.GREEN, count=job.rows, finding=", ".join(parts))


def hours_of(job: Job, first: DryStep) -> float:
    """How long the training steps will take, from the dry step's seconds per token or answer."""
    if job.asked:
        answers = job.rows * job.config.num_generations
        return job.config.epochs * answers * first.seconds * BACKWARD_SHARE / first.tokens / 3600
    sides = 1 if job.config.method is Method.SFT else 2
    tokens = sum(len(ids) for e in job.examples for ids in e.sequences()[:sides])
    tokens += sum(s.length for s in job.singles)
    return job.config.epochs * tokens * first.seconds * BACKWARD_SHARE / first.tokens / 3600


def _span(hours: float) -> str:
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if hours < 1.5 else f"{hours:.1f} hours"
