"""A database of the first version opens in this one with everything it held."""

from datetime import datetime

import duckdb

from storage import judgments as judging
from storage import team
from storage.embedded import migrations
from storage.records import Verdict
from storage.responses import responses_of
from storage.store import Store

NOW = datetime(2026, 1, 2)


def first_version(path):
    """The schema as 0.1.0 made it, with a judgment and two answers in it."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table schema_versions (version bigint, applied_at timestamp)")
        connection.execute(migrations()[0][1])
        connection.execute("insert into schema_versions values (1, $now)", {"now": NOW})
        columns = "id, pair_id, labeler, presentation_id, revision, verdict, withdrawn, criteria"
        connection.execute(
            f"insert into judgment_rows ({columns}, rationale, edited_text, flags, seconds, "
            "created_at) values ('k', 'c1:x', 'ann', 's1:x', 0, 'first', false, '{}', '', '', "
            "[], 2.5, $now)",
            {"now": NOW},
        )
        for name, asked, said in (("r1:a", [1, 2], [4, 5]), ("r1:b", [], [])):
            connection.execute(
                "insert into response_rows values ($id, 'p1:x', 'm1:x', 'Yes.', $asked, $said, "
                "-1.5, 'stop', 0.7, 1.0, 64, 7, 0, 'transformers 5', 't', 'run', $now)",
                {"id": name, "asked": asked, "said": said, "now": NOW},
            )


def test_the_first_schema_is_brought_up_to_date_with_its_rows(tmp_path):
    path = tmp_path / "pairloop.duckdb"
    first_version(path)
    for _ in range(2):
        with Store(path) as store:
            (judgment,) = judging.judgments(store)
            assert (judgment.labeler, judgment.verdict) == ("ann", Verdict.FIRST)
            assert judgment.guideline == ""
            (answer, imported) = responses_of(store, "m1:x")
            assert (answer.token_ids, answer.logprob_sum) == ((4, 5), -1.5)
            assert (answer.top_k, answer.min_p, answer.stop) == (0, 0.0, ())
            assert answer.logprobs is answer.policy_hash is None
            assert imported.token_ids is imported.prompt_token_ids is None
            assert team.team_versions(store) == (0, 0, 0, 0, 0)
