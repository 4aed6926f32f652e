"""Every check before training, in the order in which they should be mended."""

from collections.abc import Callable

from train.checks_cost import cost
from train.checks_model import first_step, reference
from train.checks_pairs import (
    identical,
    method,
    nearly_identical,
    on_policy,
    processes,
    rows,
    settings,
    split_leak,
)
from train.checks_tokens import (
    end_token,
    first_token,
    retokenized,
    template,
    too_long,
    truncated,
)
from train.checks_votes import length_bias, one_labeler, side_bias
from train.dry_step import DryStep
from train.preflight import Check, Data
from train.prepare import Job
from train.reference import Reference

CHECKS: tuple[Callable[[Data], Check], ...] = (
    method,
    rows,
    split_leak,
    identical,
    nearly_identical,
    first_token,
    end_token,
    truncated,
    template,
    retokenized,
    too_long,
    length_bias,
    side_bias,
    one_labeler,
    on_policy,
    settings,
    processes,
)


def data_checks(data: Data) -> list[Check]:
    """Those that need no model."""
    return [check(data) for check in CHECKS]


def model_checks(job: Job, known: Reference | None, first: DryStep) -> list[Check]:
    """What was seen with the model loaded."""
    return [
        *([] if known is None else [reference(job, known)]),
        first_step(first),
        cost(job, first),
    ]
