"""The [annotate] and [retrain] sections of pairloop.toml."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from annotate.proxies import Proxy

_Share = Annotated[float, Field(ge=0, le=1)]
RESERVED = ("acceptable", "skip_reason")  # what a judgment's criteria hold besides the questions


def _not_reserved(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"{name!r} has a meaning of its own; choose another name")
    return name


_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$"), AfterValidator(_not_reserved)]
_Line = Annotated[str, Field(min_length=1, max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Question(_Section):
    """A further question about both answers, answered with left, right or the same."""

    name: _Name
    question: _Line


class Oidc(_Section):
    """Sign-in through an OpenID Connect provider, for people who have an account here.

    The client's secret comes from the environment: PAIRLOOP_OIDC_SECRET.
    """

    issuer: Annotated[str, Field(pattern=r"^https?://")]  # https://huggingface.co for the Hub
    client_id: Annotated[str, Field(min_length=1)]
    claim: str = "preferred_username"  # what must equal the account's name
    label: _Line = "Sign in with single sign-on"
    scopes: str = "openid profile"


class Webhook(_Section):
    """An address that is told of events; signed with PAIRLOOP_WEBHOOK_SECRET where that is set."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    events: tuple[str, ...] = ("pair.settled", "round.ready", "round.failed")


class Judge(_Section):
    """The language model that `pairloop judge` asks. Its key comes from PAIRLOOP_JUDGE_KEY."""

    url: Annotated[str, Field(pattern=r"^https?://")] | None = None  # None: generate's own engine
    model: str = ""
    name: _Line = "judge"  # the labeler its judgments are recorded under
    max_tokens: Annotated[int, Field(ge=1)] = 512
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    timeout_seconds: Annotated[float, Field(gt=0)] = 120.0


class ConsensusRule(StrEnum):
    """How votes are added up once they are in."""

    MAJORITY = "majority"
    DAWID_SKENE = "dawid_skene"


class Distribution(_Section):
    """How votes are spread over pairs and people; a lead may change it while people work."""

    votes_per_pair: Annotated[int, Field(ge=1, le=25)] = 2
    overlap_share: _Share = 1.0  # of the pairs; the others get one vote
    tie_breaker: bool = True  # one more vote when the first ones differ
    evaluation_votes: Annotated[int, Field(ge=1, le=25)] = 1  # comparing policies: breadth first
    stop_at: Annotated[float, Field(gt=0.5, lt=1)] | None = None  # posterior that ends the voting
    max_votes: Annotated[int, Field(ge=1, le=25)] = 5  # with stop_at
    vote_accuracy: Annotated[float, Field(gt=0.5, lt=1)] = 0.8  # of one vote, until votes tell
    consensus: ConsensusRule = ConsensusRule.MAJORITY
    settle_at: Annotated[float, Field(gt=0.5, lt=1)] = 0.9  # posterior, with dawid_skene
    gold_share: _Share = 0.05  # of what somebody is shown, while there are gold pairs
    repeat_share: _Share = 0.02  # own earlier pairs, sides swapped
    sentinel_share: _Share = 0.02
    qualification_pass: _Share = 0.8  # of the qualification pairs, to go on to the others
    daily_limit: Annotated[int, Field(ge=1)] | None = None  # judgments per person and day
    show_own_agreement: bool = False  # to labelers


class AnnotateConfig(Distribution):
    """How pairs are given to people, what they are asked, and when a pair is settled."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 7860
    # Sides, gold and hidden repeats follow from it; a server draws one where none is named.
    seed: int = 0
    lease_seconds: Annotated[float, Field(gt=0)] = 900.0  # at most; less for quick labelers
    session_hours: Annotated[float, Field(gt=0)] = 12.0
    guidelines: str = "guidelines.md"  # file in the workspace that the first version comes from
    secure_cookie: bool = False  # true behind HTTPS
    trusted_proxies: tuple[Proxy, ...] = ()  # whose X-Forwarded-For and -Proto are believed
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0  # not ready, before it stops
    min_free_mb: Annotated[int, Field(ge=0)] = 100  # on the workspace's disk, to be ready
    criteria: tuple[Question, ...] = ()
    reasons: tuple[_Line, ...] = ()  # quick reasons offered with the rationale
    skip_reasons: tuple[_Line, ...] = (
        "I don't know enough about this",
        "The prompt makes no sense",
        "I can't read this language",
        "Disturbing content",
    )
    ask_acceptable: bool = False  # "is the better answer good enough?"
    allow_edit: bool = False  # the better answer may be edited into a still better one
    oidc: Oidc | None = None
    webhooks: tuple[Webhook, ...] = ()
    judge: Judge = Judge()


class Step(StrEnum):
    """What the retraining rule may start."""

    TRAIN = "train"
    GENERATE = "generate"
    EVALUATE = "evaluate"


def _begins_with_training(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    if steps[:1] != (Step.TRAIN,) or len(set(steps)) != len(steps):
        raise ValueError('it begins with "train" and names each step once')
    return steps


class Retrain(_Section):
    """When the labeling server trains by itself. Off without at_least."""

    at_least: Annotated[int | None, Field(ge=1)] = None  # newly settled pairs with a preference
    agreement: Literal["alpha", "observed"] = "alpha"  # what agreement_at_least is held against
    agreement_at_least: Annotated[float | None, Field(ge=-1, le=1)] = None
    not_more_often_than_hours: Annotated[float, Field(ge=0, le=8760)] = 24.0
    then: Annotated[tuple[Step, ...], AfterValidator(_begins_with_training)] = (Step.TRAIN,)
