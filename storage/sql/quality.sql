-- name: judged_pairs
-- The pairs to learn from that somebody judged, and which policies gave their answers.
with judged as (
    select distinct pair_id
    from judgment_rows
),

answers as (
    select
        id,
        any_value(policy_id) as policy_id
    from response_rows
    group by id
)

select
    p.id as pair_id,
    p.prompt_id,
    p."first",
    p."second",
    f.policy_id as first_policy,
    s.policy_id as second_policy
from pairs as p
inner join judged as j on j.pair_id = p.id
inner join answers as f on f.id = p."first"
inner join answers as s on s.id = p."second"
where p.purpose in ('train', 'evaluation')
order by p.id;

-- name: judged_texts
-- The answers of those pairs, one part of $parts, so that not all texts are in memory at once.
with judged as (
    select distinct pair_id
    from judgment_rows
),

wanted as (
    select p."first" as id
    from pair_rows as p
    inner join judged as j on j.pair_id = p.id
    where p.purpose in ('train', 'evaluation')
    union
    select p."second" as id
    from pair_rows as p
    inner join judged as j on j.pair_id = p.id
    where p.purpose in ('train', 'evaluation')
)

select
    r.id,
    any_value(r.text) as text
from response_rows as r
inner join wanted as w on w.id = r.id
where hash(r.id) % $parts = $part
group by r.id;

-- name: repeat_verdicts
-- What people said of their own earlier pairs when these came again: before, and now.
select
    n.labeler,
    b.verdict as before,
    n.verdict as now
from judgments as n
inner join pairs as p on p.id = n.pair_id
inner join pairs as o on o."first" = p."first" and o."second" = p."second"
inner join judgments as b on b.pair_id = o.id and b.labeler = n.labeler
where p.purpose = 'repeat'
    and o.purpose in ('train', 'evaluation')
    and n.verdict <> 'skip'
    and b.verdict <> 'skip'
order by n.labeler, n.pair_id;
