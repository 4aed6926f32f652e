"""Reading what models judged."""

import json
from collections.abc import Mapping

import pyarrow as pa

from storage.store import Store


def judged_by(store: Store, labeler: str) -> dict[str, Mapping[str, str]]:
    """The pairs a labeler has a judgment on, with its criteria."""
    rows = store.query("judged_by", labeler=labeler)
    return {str(row["pair_id"]): json.loads(str(row["criteria"])) for row in rows}


def model_judgments(store: Store) -> pa.Table:
    """One row per counting judgment of a model on a training or evaluation pair.

    Columns: labeler, pair_id, verdict, criteria (JSON), first_chars, second_chars.
    """
    return store.table("model_judgments")
