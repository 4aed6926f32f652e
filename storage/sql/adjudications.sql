-- name: adjudications_standing
-- The decisions that count: the latest per pair, not withdrawn.
select
    id,
    pair_id,
    revision,
    adjudicator,
    verdict,
    cause,
    note,
    withdrawn,
    created_at
from adjudications
order by created_at, pair_id;

-- name: adjudication_events_all
-- Every decision, changes and withdrawals included, in the order they were made.
select
    id,
    pair_id,
    revision,
    adjudicator,
    verdict,
    cause,
    note,
    withdrawn,
    created_at
from adjudication_events
order by created_at, revision, id;

-- name: own_views_all
-- What adjudicators thought before they saw the votes, oldest first.
select
    id,
    pair_id,
    adjudicator,
    verdict,
    strength,
    note,
    first_side,
    seconds,
    created_at
from own_views
order by created_at, id;

-- name: discussion_of_pair
-- What was written beside one case, oldest first.
select
    id,
    pair_id,
    author,
    text,
    created_at
from discussion_notes
where pair_id = $pair_id
order by created_at, id;
