-- name: people_tallies
-- Everybody with an account, people and models alike: what they gave and how it compares.
-- $today begins the day; a vote is too fast under $fast_seconds and above $fast_chars a second over
-- both answers. Agreement is with people, on training and evaluation pairs; unless $every_vote, a
-- pair's votes count only up to its planned number, as tie-breaking ones are asked for where the
-- first ones differ (its overlap is annotate.consensus.in_overlap, by the same hash).
with given as (
    select
        j.id,
        j.pair_id,
        j.labeler,
        j.verdict,
        j.seconds,
        j.flags,
        j.created_at,
        p.purpose,
        p.strategy,
        p."first",
        p."second",
        p.strategy = 'imported votes' as imported,
        s.first_side,
        coalesce(l.kind, 'human') as kind
    from judgments as j
    inner join pairs as p on p.id = j.pair_id
    left join presentations as s on s.id = j.presentation_id
    left join labelers as l on l.name = j.labeler
),

lengths as (
    select
        id,
        max(length(text)) as chars
    from response_rows
    group by id
),

work as (
    select
        g.labeler,
        count(*) filter (where g.verdict <> 'skip') as judged,
        count(*) filter (where g.verdict = 'skip') as skipped,
        count(*) filter (where g.verdict <> 'skip' and g.created_at >= $today) as today,
        median(g.seconds) filter (where g.verdict <> 'skip' and not (g.imported and g.seconds = 0))
            as median_seconds,
        count(*) filter (where g.verdict <> 'skip' and not g.imported) as timed,
        count(*) filter (
            where g.verdict <> 'skip'
                and not g.imported
                and g.seconds < $fast_seconds
                and f.chars + s.chars > $fast_chars * g.seconds
        ) as too_fast,
        count(*) filter (
            where g.verdict in ('first', 'second') and g.first_side is not null
        ) as sided,
        count(*) filter (
            where (g.verdict = 'first' and g.first_side = 'left')
                or (g.verdict = 'second' and g.first_side = 'right')
        ) as chose_left,
        count(*) filter (where len(g.flags) > 0) as flagged
    from given as g
    left join lengths as f on f.id = g."first"
    left join lengths as s on s.id = g."second"
    group by g.labeler
),

placed as (
    select
        v.pair_id,
        v.labeler,
        v.verdict,
        v.kind,
        v.place,
        case
            when p.strategy = 'imported votes' or $every_vote then null
            when p.purpose = 'evaluation' then $evaluation_votes
            when $overlap_share = 1
                or ('0x' || substr(sha256('overlap' || chr(0) || v.pair_id), 1, 16))::ubigint
                    / 18446744073709551616.0 < $overlap_share then $votes_per_pair
            else 1
        end as planned
    from vote_places as v
    inner join pairs as p on p.id = v.pair_id
    where p.purpose in ('train', 'evaluation')
),

compared as (
    select
        pair_id,
        labeler,
        verdict,
        kind
    from placed
    where kind = 'model'
        or place <= coalesce(planned, place)
),

agreements as (
    select
        a.labeler,
        count(*) as vote_pairs,
        count(*) filter (where a.verdict = b.verdict) as agreeing
    from compared as a
    inner join compared as b on b.pair_id = a.pair_id
    where b.kind = 'human'
        and a.labeler <> b.labeler
    group by a.labeler
),

gold_answers as (
    select
        g.labeler,
        count(*) filter (where k.use = 'hidden') as gold_total,
        count(*) filter (where k.use = 'hidden' and g.verdict = k.verdict) as gold_right,
        count(*) filter (where k.use = 'qualification') as qualification_total,
        count(*) filter (where k.use = 'qualification' and g.verdict = k.verdict)
            as qualification_right
    from given as g
    inner join gold as k on k.pair_id = g.pair_id
    where k.active
        and g.verdict <> 'skip'
    group by g.labeler
),

repeats as (
    select
        g.labeler,
        count(*) as repeat_total,
        count(*) filter (where g.verdict = o.verdict) as repeat_same
    from given as g
    inner join given as o on o.labeler = g.labeler
        and o."first" = g."first"
        and o."second" = g."second"
    where g.purpose = 'repeat'
        and o.purpose in ('train', 'evaluation')
        and g.verdict <> 'skip'
        and o.verdict <> 'skip'
    group by g.labeler
),

last_seen as (
    select
        labeler,
        max(created_at) as last_at
    from judgment_rows
    group by labeler
)

select
    l.name,
    coalesce(w.judged, 0) as judged,
    coalesce(w.skipped, 0) as skipped,
    coalesce(w.today, 0) as today,
    w.median_seconds,
    coalesce(w.timed, 0) as timed,
    coalesce(w.too_fast, 0) as too_fast,
    coalesce(w.sided, 0) as sided,
    coalesce(w.chose_left, 0) as chose_left,
    coalesce(w.flagged, 0) as flagged,
    coalesce(a.vote_pairs, 0) as vote_pairs,
    coalesce(a.agreeing, 0) as agreeing,
    coalesce(g.gold_right, 0) as gold_right,
    coalesce(g.gold_total, 0) as gold_total,
    coalesce(g.qualification_right, 0) as qualification_right,
    coalesce(g.qualification_total, 0) as qualification_total,
    coalesce(r.repeat_same, 0) as repeat_same,
    coalesce(r.repeat_total, 0) as repeat_total,
    s.last_at
from labelers as l
left join work as w on w.labeler = l.name
left join agreements as a on a.labeler = l.name
left join gold_answers as g on g.labeler = l.name
left join repeats as r on r.labeler = l.name
left join last_seen as s on s.labeler = l.name;

-- name: people_days
-- How much everybody judged on each day since $since, and how fast; imported votes are left out.
select
    j.labeler,
    date_trunc('day', j.created_at)::timestamp as day,
    count(*) as judged,
    median(j.seconds) as median_seconds
from judgments as j
inner join pairs as p on p.id = j.pair_id
where j.verdict <> 'skip'
    and j.created_at >= $since
    and p.strategy <> 'imported votes'
group by j.labeler, day
order by j.labeler, day;

-- name: vote_times
-- When each vote of people that was asked for was given: a counting one on a pair to label.
select j.created_at
from judgments as j
inner join pairs as p on p.id = j.pair_id
left join labelers as l on l.name = j.labeler
where j.verdict <> 'skip'
    and p.purpose in ('train', 'evaluation')
    and p.strategy <> 'imported votes'
    and coalesce(l.kind, 'human') = 'human'
order by j.created_at;
