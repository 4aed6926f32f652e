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
    seconds,
    created_at
from judgment_events
order by created_at, revision, id;

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
    seconds,
    created_at
from judgments
order by created_at, id;

-- name: votes_by_pair
-- One row per counting vote on a training pair, for the agreement statistics.
select
    j.pair_id,
    j.labeler,
    j.verdict,
    j.strength,
    j.seconds,
    p.round,
    p.purpose,
    s.first_side,
    l.kind,
    row_number() over (partition by j.pair_id order by j.created_at, j.id) as place
from judgments as j
inner join pairs as p on p.id = j.pair_id
left join presentations as s on s.id = j.presentation_id
left join labelers as l on l.name = j.labeler
where j.verdict <> 'skip'
    and list_contains($purposes, p.purpose)
order by j.pair_id, j.labeler;

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
