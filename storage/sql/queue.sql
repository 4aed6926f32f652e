-- name: queue_pairs
-- A page of the pairs people label, the ones last judged first; $state and $only are null for all.
-- state: waiting, begun, tie_break, settled or no_majority. $only: flagged or skipped.
with said as (
    select
        j.pair_id,
        max(j.created_at) as last_at,
        count(*) filter (where j.verdict = 'skip') as skips,
        list_distinct(flatten(list(j.flags))) as flags,
        list_distinct(
            list(json_extract_string(j.criteria, '$.skip_reason')) filter (
                where json_extract_string(j.criteria, '$.skip_reason') <> ''
            )
        ) as reasons
    from judgments as j
    left join labelers as l on l.name = j.labeler
    where coalesce(l.kind, 'human') = 'human'
    group by j.pair_id
),

placed as (
    select
        p.id,
        p.prompt_id,
        p.purpose,
        p.round,
        p.created_at,
        coalesce(c.votes, 0) as votes,
        s.last_at,
        coalesce(s.skips, 0) as skips,
        coalesce(s.flags, []) as flags,
        coalesce(s.reasons, []) as reasons,
        case
            when c.settled then 'settled'
            when c.closed then 'no_majority'
            when coalesce(c.votes, 0) = 0 then 'waiting'
            when c.method = 'majority'
                and c.votes >= if(p.purpose = 'evaluation', $evaluation_votes, $votes_per_pair)
                then 'tie_break'
            else 'begun'
        end as state
    from pairs as p
    left join consensus as c on c.pair_id = p.id
    left join said as s on s.pair_id = p.id
    where p.purpose in ('train', 'evaluation')
        and p.strategy <> 'imported votes'
)

select
    q.id,
    q.purpose,
    q.round,
    q.state,
    q.votes,
    q.skips,
    q.flags,
    q.reasons,
    q.last_at,
    left(json_extract_string(r.messages, '$[#-1].content'), 160) as excerpt,
    count(*) over () as pairs
from placed as q
inner join prompts as r on r.id = q.prompt_id
where q.state = coalesce($state, q.state)
    and (
        $only is null
        or ($only = 'flagged' and len(q.flags) > 0)
        or ($only = 'skipped' and q.skips > 0)
    )
order by q.last_at desc nulls last, q.created_at, q.id
limit $count
offset $skip;

-- name: pair_story
-- Everything that was said about one pair, changes and withdrawals included, oldest first.
select
    j.labeler,
    coalesce(l.kind, 'human') as kind,
    j.revision,
    j.verdict,
    j.strength,
    j.withdrawn,
    j.criteria,
    j.rationale,
    j.edited_text,
    j.flags,
    j.seconds,
    j.created_at,
    s.first_side,
    g.revision + 1 as guideline
from judgment_events as j
left join labelers as l on l.name = j.labeler
left join presentations as s on s.id = j.presentation_id
left join (
    select
        id,
        max(revision) as revision
    from guidelines
    group by id
) as g on g.id = j.guideline
where j.pair_id = $pair_id
order by j.created_at, j.revision;

-- name: judgments_by_guideline
-- Judgments that count, by the version of the guidelines their labelers had.
select
    guideline,
    count(*) as judgments
from judgments
where verdict <> 'skip'
group by guideline;

-- name: pair_by_id
-- One pair.
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
where id = $id;

-- name: gold_pairs
-- Every gold pair with what people made of it; active ones first, then the most often failed.
select
    g.pair_id,
    g.use,
    g.verdict,
    g.source,
    g.author,
    g.active,
    g.explanation,
    g.created_at,
    left(json_extract_string(r.messages, '$[#-1].content'), 160) as excerpt,
    count(j.id) as answers,
    count(j.id) filter (where j.verdict <> g.verdict) as failed
from gold as g
inner join pairs as p on p.id = g.pair_id
inner join prompts as r on r.id = p.prompt_id
left join (
    select
        id,
        pair_id,
        verdict
    from judgments
    where verdict <> 'skip'
) as j on j.pair_id = g.pair_id
group by all
order by g.active desc, failed desc, g.created_at desc, g.pair_id
limit $count;

-- name: pairs_by_standing
-- Pairs to label in sorts, alike in purpose, overlap and the votes they have: one pair of each sort,
-- and how many there are. What an adjudicator decided wants no vote and is left out; a pair's
-- overlap is annotate.consensus.in_overlap, by the same hash.
with placed as (
    select
        p.id,
        p.prompt_id,
        p."first",
        p."second",
        p.purpose,
        p.strategy,
        p.round,
        p.created_at,
        p.strategy = 'imported votes' as imported,
        ('0x' || substr(sha256('overlap' || chr(0) || p.id), 1, 16))::ubigint
            / 18446744073709551616.0 < $overlap_share as overlap,
        coalesce(c.first_votes, 0) as first_votes,
        coalesce(c.second_votes, 0) as second_votes,
        coalesce(c.tie_votes, 0) as tie_votes,
        coalesce(c.both_bad_votes, 0) as both_bad_votes
    from pairs as p
    left join consensus as c on c.pair_id = p.id
    where p.purpose in ('train', 'evaluation')
        and coalesce(c.method, '') <> 'adjudicated'
),

sorts as (
    select
        min(id) as id,
        count(*) as pairs
    from placed
    group by
        purpose, imported, overlap, first_votes, second_votes, tie_votes, both_bad_votes
)

select
    p.id,
    p.prompt_id,
    p."first",
    p."second",
    p.purpose,
    p.strategy,
    p.round,
    p.created_at,
    p.first_votes,
    p.second_votes,
    p.tie_votes,
    p.both_bad_votes,
    s.pairs
from placed as p
inner join sorts as s on s.id = p.id
order by p.id;

-- name: disputed_pairs
-- Judged pairs whose votes differ most, the most votes first among equals; adjudicated ones left out.
with counted as (
    select
        c.pair_id,
        c.votes,
        c.first_votes,
        c.second_votes,
        c.tie_votes,
        c.both_bad_votes,
        c.settled,
        c.closed,
        greatest(c.first_votes, c.second_votes, c.tie_votes, c.both_bad_votes) / c.votes as largest
    from consensus as c
    where c.votes >= 2
        and c.method <> 'adjudicated'
)

select
    c.pair_id,
    p.purpose,
    p.round,
    c.votes,
    c.first_votes,
    c.second_votes,
    c.tie_votes,
    c.both_bad_votes,
    c.settled,
    c.closed,
    left(json_extract_string(r.messages, '$[#-1].content'), 160) as excerpt,
    count(*) over () as disputed
from counted as c
inner join pairs as p on p.id = c.pair_id
inner join prompts as r on r.id = p.prompt_id
where c.largest < 1
    and p.purpose in ('train', 'evaluation')
order by c.largest, c.votes desc, c.pair_id
limit $count;
