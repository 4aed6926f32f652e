-- A vote counts from the last word that took one back, also where two servers gave both one number.

create or replace view vote_places as
with withdrawals as (
    select
        pair_id,
        labeler,
        max((revision, created_at, id)) as word
    from judgment_events
    where withdrawn
    group by pair_id, labeler
),

beginnings as (
    select
        e.pair_id,
        e.labeler,
        min(e.created_at) as began_at
    from judgment_events as e
    left join withdrawals as w on w.pair_id = e.pair_id and w.labeler = e.labeler
    where e.verdict <> 'skip'
        and (w.word is null or (e.revision, e.created_at, e.id) > w.word)
    group by e.pair_id, e.labeler
)

select
    j.id,
    j.pair_id,
    j.labeler,
    j.presentation_id,
    j.verdict,
    j.strength,
    j.seconds,
    j.created_at,
    coalesce(l.kind, 'human') as kind,
    row_number() over (
        partition by j.pair_id, coalesce(l.kind, 'human')
        order by b.began_at, j.id
    ) as place
from judgments as j
inner join beginnings as b on b.pair_id = j.pair_id and b.labeler = j.labeler
left join labelers as l on l.name = j.labeler
where j.verdict <> 'skip';
