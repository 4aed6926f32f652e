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

-- name: last_words_of_people
-- What people last said of each pair that was not imported with its votes, withdrawals included; in
-- the order in which they began to say something, since their last withdrawal: by arrival, for the
-- clock may have been set back meanwhile. Of two words with one number the later one is the last.
with events as (
    select
        id,
        any_value(pair_id) as pair_id,
        any_value(labeler) as labeler,
        any_value(revision) as revision,
        any_value(verdict) as verdict,
        any_value(withdrawn) as withdrawn,
        min(created_at) as created_at,
        min(rowid) as arrival
    from judgment_rows
    where rowid < $below
    group by id
),

withdrawals as (
    select
        pair_id,
        labeler,
        max((revision, created_at, id)) as word
    from judgment_rows
    where withdrawn
        and rowid < $below
    group by pair_id, labeler
),

words as (
    select
        j.pair_id,
        j.labeler,
        max(
            {
                'revision': j.revision,
                'created_at': j.created_at,
                'id': j.id,
                'verdict': j.verdict,
                'withdrawn': j.withdrawn
            }
        ) as last,
        count(*) as events,
        min(j.arrival) filter (where w.word is null or (j.revision, j.created_at, j.id) > w.word)
            as began,
        min(j.arrival) as arrived
    from events as j
    inner join pairs as p on p.id = j.pair_id
    left join labelers as l on l.name = j.labeler
    left join withdrawals as w on w.pair_id = j.pair_id and w.labeler = j.labeler
    where p.strategy <> $imported
        and coalesce(l.kind, 'human') <> 'model'
    group by j.pair_id, j.labeler
)

select
    pair_id,
    labeler,
    last.verdict as verdict,
    last.revision as revision,
    last.withdrawn as withdrawn,
    events,
    last.created_at as created_at,
    last.id as id
from words
order by began, arrived;

-- name: judgment_events_of_labeler
-- Every judgment row of one labeler on pairs that were not imported with their votes, as they
-- arrived. Rows are narrowed before the first of each id is taken, which all have the same labeler.
with mine as (
    from judgment_rows
    where labeler = $labeler
        and rowid < $below
    qualify row_number() over (partition by id order by created_at) = 1
),

arrivals as (
    select
        id,
        min(rowid) as arrival
    from judgment_rows
    where labeler = $labeler
        and rowid < $below
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
    coalesce(j.guideline, '') as guideline,
    j.seconds,
    j.created_at
from mine as j
inner join arrivals as a on a.id = j.id
inner join pairs as p on p.id = j.pair_id
where p.strategy <> $imported
order by a.arrival;

-- name: judgment_key_marks
-- Half of each judgment key's md5 as a number: what is not among them was never stored.
select md5_number_lower(id) as mark
from judgment_rows
where rowid < $below;

-- name: owner_of_key
-- Whose judgment has this key, and on which pair.
select
    labeler,
    pair_id
from judgment_rows
where id = $id
order by created_at
limit 1;

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

-- name: judgments_in_order
-- The judgments that count now, oldest first: whose each is, its prompt's split, and on which side the
-- pair's first answer stood.
select
    j.id,
    j.labeler,
    q.split,
    s.first_side
from judgments as j
inner join pairs as p on p.id = j.pair_id
inner join prompts as q on q.id = p.prompt_id
left join presentations as s on s.id = j.presentation_id
order by j.created_at, j.id;

-- name: judgments_by_ids
-- The judgments with these ids: the view's columns, from its rows, which are narrowed first.
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
    coalesce(guideline, '') as guideline,
    seconds,
    created_at
from judgment_rows
where id in (select unnest($ids))
qualify row_number() over (partition by id order by created_at) = 1;

-- name: votes_by_pair
-- One row per counting vote, for the agreement statistics, in no order: these make one of numbers.
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
where list_contains($purposes, p.purpose);

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
from presentation_rows
where labeler = $labeler
qualify row_number() over (partition by id order by created_at) = 1
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
from presentation_rows
where id = $id
order by created_at
limit 1;
