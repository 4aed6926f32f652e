"""What a run will cost: hours, memory, money."""

from storage.words import many
from train.config import Method
from train.dry_step import DryStep
from train.preflight import Check, Light
from train.prepare import Job

BACKWARD_SHARE = 1.1  # of the dry step's seconds: with the optimizer's update


def cost(job: Job, first: DryStep) -> Check:
    hours = hours_of(job, first)
    launch = job.config.launch
    machines = launch.machines if launch else 1
    on = many(job.config.processes, "process", "processes") if launch else "this machine"
    parts = [f"about {_span(hours)} on {on}"]
    if first.peak_bytes:
        parts.append(f"{first.peak_bytes / 2**30:.1f} GiB of GPU memory at the longest pairs")
    if job.config.price_per_hour is not None:
        parts.append(
            f"{hours * machines * job.config.price_per_hour:.2f} at {job.config.price_per_hour:g} an hour"
        )
    return Check(name="cost", light=Light.GREEN, count=job.rows, finding=", ".join(parts))


def hours_of(job: Job, first: DryStep) -> float:
    """How long all processes together will take for the steps, from the dry step's seconds per token
    or answer.
    """
    if job.asked:
        answers = job.rows * job.config.num_generations
        return job.config.epochs * answers * first.seconds * BACKWARD_SHARE / first.tokens / 3600
    sides = 1 if job.config.method is Method.SFT else 2
    tokens = sum(len(ids) for e in job.examples for ids in e.sequences()[:sides])
    tokens += sum(s.length for s in job.singles)
    seconds = job.config.epochs * tokens * first.seconds * BACKWARD_SHARE / first.tokens
    return seconds / job.config.processes / 3600


def _span(hours: float) -> str:
    seconds = hours * 3600
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if hours < 1.5 else f"{hours:.1f} hours"
