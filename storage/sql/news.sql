-- name: judgments_after
-- People's judgment rows on pairs to label that were appended after row $after, in that order.
select
    j.rowid as row,
    j.id,
    j.pair_id,
    j.labeler,
    j.presentation_id,
    j.revision,
    j.verdict,
    j.strength,
    j.withdrawn,
    j.criteria,
    j.rationale,
    j.edited_text,
    j.flags,
    coalesce(j.guideline, '') as guideline,
    j.seconds,
    j.created_at
from judgment_rows as j
inner join pairs as p on p.id = j.pair_id
left join labelers as l on l.name = j.labeler
where j.rowid > $after
    and p.strategy <> $imported
    and coalesce(l.kind, 'human') <> 'model'
order by j.rowid;

-- name: presentations_after
-- Showings that were appended after row $after and since $since, in that order. One that is shown
-- again has a row for each time.
select
    rowid as row,
    id,
    pair_id,
    labeler,
    first_side,
    guideline,
    created_at
from presentation_rows
where rowid > $after
    and created_at > $since
order by rowid;

-- name: case_visits_after
-- Comings to cases and leavings that were appended after row $after, in that order.
select
    rowid as row,
    pair_id,
    adjudicator,
    ended,
    created_at
from case_visit_rows
where rowid > $after
order by rowid;
