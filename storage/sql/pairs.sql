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

-- name: pairs_of_prompts
-- The pairs formed for one purpose of answers to these prompts.
select
    id,
    prompt_id,
    "first",
    "second",
    purpose,
    strategy,
    round,
    created_at
from pair_rows
where purpose = $purpose
    and prompt_id in (select unnest($prompt_ids))
qualify row_number() over (partition by id order by created_at) = 1
order by created_at, id;

-- name: pairs_of_round_count
-- How many pairs one round has for one purpose.
select count(distinct id) as n
from pair_rows
where round = $round
    and purpose = $purpose;

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

-- name: pairs_of_identical_answers
-- The pairs whose two answers have one text. Of each text only its hash is kept, however long it is.
with marks as materialized (
    select
        id,
        any_value(unhex(sha256(text))) as mark
    from response_rows
    group by id
)

select distinct p.id
from pair_rows as p
inner join marks as f on f.id = p."first"
inner join marks as s on s.id = p."second"
where f.mark = s.mark;
