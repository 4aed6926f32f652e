-- name: pairs_all
-- Every pair, oldest first.
select
    id,
    prompt_id,
    "first",
    "second",
    purpose,
    strategy,
    round,
    created_at
from pairs
order by created_at, id;

-- name: pair_count
-- How many pair rows there are to label: changes exactly when a command or a lead appended some.
-- Repeats, which the desk itself appends, are left out.
select count(*) as n
from pair_rows
where purpose <> 'repeat';

-- name: pairs_of_round
-- The pairs formed in one round for one purpose.
select
    id,
    prompt_id,
    "first",
    "second",
    purpose,
    strategy,
    round,
    created_at
from pairs
where round = $round
    and purpose = $purpose
order by created_at, id;
