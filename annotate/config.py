"""The [annotate] section of pairloop.toml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from storage.records import Purpose


class AnnotateConfig(BaseModel):
    """How pairs are given to people and when a pair is settled."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 7860
    votes_per_pair: Annotated[int, Field(ge=1, le=25)] = 2
    evaluation_votes: Annotated[int, Field(ge=1, le=25)] = 1  # comparing policies: breadth first
    tie_breaker: bool = True  # one more vote when the first ones differ
    seed: int = 0  # which side a response is shown on follows from it
    lease_seconds: Annotated[float, Field(gt=0)] = 900.0
    session_hours: Annotated[float, Field(gt=0)] = 12.0
    guidelines: str = "guidelines.md"  # file in the workspace shown beside the pairs
    secure_cookie: bool = False  # true behind HTTPS

    def votes_for(self, purpose: Purpose) -> int:
        """Votes a pair gets before a tie-breaker is thought of."""
        return self.evaluation_votes if purpose is Purpose.EVALUATION else self.votes_per_pair
