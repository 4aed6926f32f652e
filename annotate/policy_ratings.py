"""How strong the policies are in people's eyes, as they are and at equal style."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotate.stats.bias import Effect
from annotate.stats.estimate import Floats, Ints
from annotate.stats.matches import matches_of
from annotate.stats.ratings import Ratings, fit_ratings
from annotate.stats.votes import BOTH_BAD, FIRST, SECOND, TIE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """A rating in log-odds with its 95 % interval over prompts; None where it can't be told."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRating:
    """One policy. plain: as people voted. styled: at equal length and formatting.

    group: policies of different groups never met, not even through others, and are not compared.
    """

    policy: str
    group: int
    votes: int
    prompts: int
    plain: Rating
    styled: Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRatings:
    """All that met another; best first. style: what a typical difference adds to the log-odds.

    decided: votes for one of two policies, of `votes`; ties count as ties. both_bad: left out.
    """

    policies: list[PolicyRating]
    style: list[Effect]
    votes: int
    decided: int
    prompts: int
    both_bad: int


def rate_policies(
    names: Sequence[str],
    first_P: Ints,
    second_P: Ints,
    counts_P_V: Floats,
    prompt_P: Ints,
    style_P_F: Floats,
    *,
    styles: Sequence[str],
    resamples: int = 200,
) -> PolicyRatings:
    """Rate policies from the votes on pairs of their answers; one row per pair.

    first_P, second_P: places in `names`. counts_P_V: votes by verdict, as VERDICTS has them.
    style_P_F: first minus second. Pairs of one policy's answers tell nothing of it and are left out.
    """
    met = (first_P != second_P) & (counts_P_V.sum(axis=1) > 0)
    first, second, counts = first_P[met], second_P[met], counts_P_V[met]
    prompt, style = prompt_P[met], style_P_F[met]
    who = np.unique(np.concatenate([first, second]))
    first, second = np.searchsorted(who, first), np.searchsorted(who, second)
    voted = counts[:, [FIRST, SECOND, TIE]]
    fits = [
        fit_ratings(
            matches_of(first, second, *voted.T, style_M_F=s, prompt_M=prompt, policies=len(who)),
            resamples=resamples,
        )
        for s in (None, style)
        if len(who)
    ]
    decided = int(voted[:, :2].sum())
    about = {
        "votes": int(voted.sum()),
        "decided": decided,
        "prompts": len(np.unique(prompt)),
        "both_bad": int(counts[:, BOTH_BAD].sum()),
    }
    if not fits or not decided:
        return PolicyRatings(policies=[], style=[], **about)
    plain, styled = fits
    rated = [
        PolicyRating(
            policy=names[who[i]],
            group=int(plain.group_S[i]),
            votes=int(voted[own].sum()),
            prompts=len(np.unique(prompt[own])),
            plain=_rating(plain, i),
            styled=_rating(styled, i),
        )
        for i in range(len(who))
        for own in [(first == i) | (second == i)]
    ]
    rated.sort(key=lambda p: (p.group, -(p.plain.value or 0.0), p.policy))
    effects = zip(styles, styled.style_F, styled.style_error_F, strict=True)
    return PolicyRatings(
        policies=rated,
        style=[Effect(name=n, value=float(v), error=float(e)) for n, v, e in effects],
        **about,
    )


def _rating(fit: Ratings, place: int) -> Rating:
    return Rating(
        value=_known(fit.rating_S[place]),
        low=_known(fit.low_S[place]),
        high=_known(fit.high_S[place]),
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
