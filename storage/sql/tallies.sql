-- name: tallies
-- One row per pair that votes or an adjudicator decide: people's votes and its consensus now.
with last_words as (
    select
        e.pair_id,
        count(*) as events,
        arg_max(e.verdict, (e.revision, e.created_at, e.id)) as verdict,
        arg_max(e.withdrawn, (e.revision, e.created_at, e.id)) as withdrawn
    from judgment_events as e
    left join labelers as l on l.name = e.labeler
    where coalesce(l.kind, 'human') <> 'model'
    group by e.pair_id, e.labeler
),

votes as (
    select
        pair_id,
        sum(events)::bigint as events,
        count(*) filter (where not withdrawn and verdict = 'first') as first_votes,
        count(*) filter (where not withdrawn and verdict = 'second') as second_votes,
        count(*) filter (where not withdrawn and verdict = 'tie') as tie_votes,
        count(*) filter (where not withdrawn and verdict = 'both_bad') as both_bad_votes
    from last_words
    group by pair_id
)

select
    p.id as pair_id,
    p.purpose,
    p.strategy,
    coalesce(v.events, 0) as events,
    coalesce(v.first_votes, 0) as first_votes,
    coalesce(v.second_votes, 0) as second_votes,
    coalesce(v.tie_votes, 0) as tie_votes,
    coalesce(v.both_bad_votes, 0) as both_bad_votes,
    c.verdict as known_verdict,
    c.probability_first as known_probability_first,
    c.first_votes as known_first_votes,
    c.second_votes as known_second_votes,
    c.tie_votes as known_tie_votes,
    c.both_bad_votes as known_both_bad_votes,
    c.method as known_method,
    c.settled as known_settled,
    c.reason as known_reason,
    c.closed as known_closed,
    c.events as known_events
from pairs as p
left join votes as v on v.pair_id = p.id
left join consensus as c on c.pair_id = p.id
where p.purpose in ('train', 'evaluation')
    and (
        v.pair_id is not null
        or c.pair_id is not null
        or p.id in (select unnest($adjudicated::varchar[]))
    )
order by p.id;

-- name: agreement_of_two
-- Pairs whose first two people both prefer an answer, and on how many they prefer the same one.
-- First is who first had a word on the pair, whatever they changed since: further votes are asked
-- for only where the first ones differ.
with last_words as (
    select
        e.pair_id,
        e.labeler,
        min(e.created_at) as began_at,
        arg_max(e.verdict, (e.revision, e.created_at, e.id)) as verdict,
        arg_max(e.withdrawn, (e.revision, e.created_at, e.id)) as withdrawn
    from judgment_events as e
    inner join pairs as p on p.id = e.pair_id
    left join labelers as l on l.name = e.labeler
    where coalesce(l.kind, 'human') <> 'model'
        and p.purpose in ('train', 'evaluation')
    group by e.pair_id, e.labeler
),

first_two as (
    select
        pair_id,
        verdict
    from last_words
    where not withdrawn and verdict <> 'skip'
    qualify row_number() over (partition by pair_id order by began_at, labeler) <= 2
),

decisive as (
    select
        pair_id,
        count(distinct verdict) = 1 as agree
    from first_two
    group by pair_id
    having count(*) filter (where verdict in ('first', 'second')) = 2
)

select
    p.strategy = $imported as imported,
    count(*) filter (where d.agree) as agreeing,
    count(*) as pairs
from decisive as d
inner join pairs as p on p.id = d.pair_id
group by imported;

-- name: votes_of_people
-- Every counting vote of people on training and evaluation pairs.
select
    j.pair_id,
    j.labeler,
    j.verdict
from judgments as j
inner join pairs as p on p.id = j.pair_id
left join labelers as l on l.name = j.labeler
where j.verdict <> 'skip'
    and p.purpose in ('train', 'evaluation')
    and coalesce(l.kind, 'human') <> 'model'
order by j.pair_id, j.labeler;

-- name: model_tallies
-- Models' counting votes on training and evaluation pairs.
select
    j.pair_id,
    count(*) filter (where j.verdict = 'first') as first_votes,
    count(*) filter (where j.verdict = 'second') as second_votes,
    count(*) filter (where j.verdict = 'tie') as tie_votes,
    count(*) filter (where j.verdict = 'both_bad') as both_bad_votes
from judgments as j
inner join labelers as l on l.name = j.labeler
inner join pairs as p on p.id = j.pair_id
where l.kind = 'model'
    and j.verdict <> 'skip'
    and p.purpose in ('train', 'evaluation')
group by j.pair_id
order by j.pair_id;

-- name: remarks_of_people
-- People's counting judgments that hold more than a vote, or none: edits, flags, skips.
select
    j.pair_id,
    j.verdict,
    j.edited_text,
    j.flags
from judgments as j
inner join pairs as p on p.id = j.pair_id
left join labelers as l on l.name = j.labeler
where (j.edited_text <> '' or len(j.flags) > 0 or j.verdict = 'skip')
    and p.purpose in ('train', 'evaluation')
    and coalesce(l.kind, 'human') <> 'model'
order by j.pair_id, j.created_at, j.labeler;
