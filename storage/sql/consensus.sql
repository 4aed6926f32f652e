-- name: consensus_all
-- Where every judged pair stands.
select
    pair_id,
    verdict,
    probability_first,
    votes,
    first_votes,
    second_votes,
    tie_votes,
    both_bad_votes,
    method,
    settled,
    reason,
    closed,
    events,
    created_at
from consensus
order by pair_id;

-- name: consensus_of_pairs
-- Where these pairs stand.
select
    pair_id,
    verdict,
    probability_first,
    votes,
    first_votes,
    second_votes,
    tie_votes,
    both_bad_votes,
    method,
    settled,
    reason,
    closed,
    events,
    created_at
from consensus
where pair_id in (select unnest($pair_ids));

-- name: settled_pairs
-- The pairs that are settled.
select pair_id
from consensus
where settled;
