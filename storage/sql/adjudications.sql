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

-- name: discussion_all
-- What was written beside all cases, oldest first.
select
    id,
    pair_id,
    author,
    text,
    created_at
from discussion_notes
order by created_at, id;

-- name: adjudication_counts
-- What people said of each pair that may want an adjudicator, counted: votes differ, something was
-- flagged, it was sent here, or it was decided already. Models' votes don't make a case.
with said as (
    select
        j.pair_id,
        count(*) filter (where j.verdict = 'first') as first_votes,
        count(*) filter (where j.verdict = 'second') as second_votes,
        count(*) filter (where j.verdict = 'tie') as tie_votes,
        count(*) filter (where j.verdict = 'both_bad') as both_bad_votes,
        count(*) filter (where len(j.flags) > 0) as flags,
        max(j.created_at) as last_at
    from judgments as j
    left join labelers as l on l.name = j.labeler
    where coalesce(l.kind, 'human') = 'human'
    group by j.pair_id
)

select
    p.id as pair_id,
    p.purpose,
    p.round,
    coalesce(s.first_votes, 0) as "first",
    coalesce(s.second_votes, 0) as "second",
    coalesce(s.tie_votes, 0) as tie,
    coalesce(s.both_bad_votes, 0) as both_bad,
    coalesce(s.flags, 0) as flags,
    q.pair_id is not null as doubted,
    coalesce(c.settled, false) as settled,
    coalesce(c.closed, false) as closed,
    s.last_at,
    left(json_extract_string(r.messages, '$[#-1].content'), 160) as excerpt
from pairs as p
inner join prompts as r on r.id = p.prompt_id
left join said as s on s.pair_id = p.id
left join consensus as c on c.pair_id = p.id
left join adjudications as a on a.pair_id = p.id
left join case_requests as q on q.pair_id = p.id
where p.purpose in ('train', 'evaluation')
    and p.strategy <> 'imported votes'
    and (
        a.pair_id is not null
        or q.pair_id is not null
        or s.flags > 0
        or if(s.first_votes > 0, 1, 0) + if(s.second_votes > 0, 1, 0)
        + if(s.tie_votes > 0, 1, 0) + if(s.both_bad_votes > 0, 1, 0) > 1
    )
order by p.id;

-- name: case_requests_all
-- The pairs that were sent to the adjudicators, oldest request first.
select
    pair_id,
    reason,
    author,
    created_at
from case_requests
order by created_at, pair_id;
