"""The checks that need the model: the reference and the first step."""

from storage.words import many
from train.dry_step import DryStep, wrong_start
from train.preflight import Check, Light
from train.prepare import Job
from train.reference import MAX_BIAS, MAX_SPREAD, Reference, Source


def reference(job: Job, found: Reference) -> Check:
    if found.source is Source.SAMPLER:
        finding = (
            f"the sampler's own log-probabilities serve: on {many(found.checked, 'pair')} their rewards "
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


def first_step(first: DryStep) -> Check:
    if not first.holds:
        return Check(
            name="first step",
            light=Light.RED,
            count=1,
            finding=wrong_start(first),
            fix="Train from the policy that sampled these answers.",
        )
    seen = f"loss {first.loss:.4f}"
    seen += "" if first.margin is None else f" and margin {first.margin:z.4f}"
    seen += "".join(f", {name} {found:z.4f}" for name, found, _ in first.others)
    finding = f"{seen} before the first step, as should be"
    return Check(name="first step", light=Light.GREEN, count=0, finding=finding)
