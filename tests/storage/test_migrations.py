"""A database of the first version opens in this one with everything it held."""

from datetime import datetime

import duckdb

from storage import adjudications, team
from storage import judgments as judging
from storage.embedded import migrations
from storage.records import Tier, Triplet, Verdict
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


def test_older_triplets_are_of_the_tier_their_votes_tell(tmp_path):
    path = tmp_path / "pairloop.duckdb"
    first_version(path)
    columns = "id, run_id, pair_id, prompt_id, chosen, rejected, split, weight, probability"
    with duckdb.connect(str(path)) as connection:
        for i, (votes, number) in enumerate(((1, 0), (2, 0), (2, -1))):
            connection.execute(
                f"insert into triplet_rows ({columns}, agreement, votes, round, created_at) values "
                "($id, 'run', 'c1:x', 'p1:x', 'r1:a', 'r1:b', 'train', 1, .75, 1, $votes, $round, $now)",
                {"id": f"t{i}", "votes": votes, "round": number, "now": NOW},
            )
    with Store(path) as store:
        found = store.read(Triplet, "triplets_of_run", run_id="run")
    assert [t.tier for t in found] == [Tier.HUMAN_SINGLE, Tier.HUMAN_AGREED, Tier.IMPORTED]


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
            assert adjudications.standing(store) == {}
