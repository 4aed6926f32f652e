-- name: judgment_events_all
-- Every judgment row, changes and withdrawals included, in the order they were made.
select
    id,
    pair_id,
    labeler,
    presentation_id,
    revision,
    verdict,
    strength,
    withdrawn,
    criteria,
    rationale,
    edited_text,
    flags,
    guideline,
    seconds,
    created_at
from judgment_events
order by created_at, revision, id;

-- name: judgment_events_of_people
-- Every judgment row of people on pairs that were not imported with their votes, as they arrived:
-- the clock may have been set back meanwhile.
with arrivals as (
    select
        id,
        min(rowid) as arrival
    from judgment_rows
    group by id
)

select
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
    j.guideline,
    j.seconds,
    j.created_at
from judgment_events as j
inner join arrivals as a on a.id = j.id
inner join pairs as p on p.id = j.pair_id
left join labelers as l on l.name = j.labeler
where p.strategy <> $imported
    and coalesce(l.kind, 'human') <> 'model'
order by a.arrival;

-- name: judgments_present
-- The judgments that count now: the latest per pair and labeler, not withdrawn.
select
    id,
    pair_id,
    labeler,
    presentation_id,
    revision,
    verdict,
    strength,
    withdrawn,
    criteria,
    rationale,
    edited_text,
    flags,
    guideline,
    seconds,
    created_at
from judgments
order by created_at, id;

-- name: votes_by_pair
-- One row per counting vote on a training pair, for the agreement statistics.
select
    v.pair_id,
    v.labeler,
    v.verdict,
    v.strength,
    v.seconds,
    v.created_at,
    p.round,
    p.purpose,
    p.strategy,
    s.first_side,
    v.kind,
    v.place
from vote_places as v
inner join pairs as p on p.id = v.pair_id
left join presentations as s on s.id = v.presentation_id
where list_contains($purposes, p.purpose)
order by v.pair_id, v.labeler;

-- name: votes_version
-- Rows of what votes_by_pair is made of; rows are only ever appended.
select
    (select count(*) from judgment_rows) as judgments,
    (select count(*) from labeler_rows) as labelers,
    (select count(*) from pair_rows) as pairs;

-- name: presentations_of_labeler
-- What one labeler has been shown, oldest first.
select
    id,
    pair_id,
    labeler,
    first_side,
    guideline,
    created_at
from presentations
where labeler = $labeler
order by created_at, id;

-- name: presentation_by_id
-- One showing of one pair.
select
    id,
    pair_id,
    labeler,
    first_side,
    guideline,
    created_at
from presentations
where id = $id;
