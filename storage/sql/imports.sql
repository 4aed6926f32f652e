-- name: unknown_prompts
-- Which of these prompt ids are not stored.
select i.id
from (select unnest($ids) as id) as i
anti join prompt_rows as r on r.id = i.id;

-- name: unknown_policies
-- Which of these policy ids are not stored.
select i.id
from (select unnest($ids) as id) as i
anti join policy_rows as r on r.id = i.id;

-- name: unknown_responses
-- Which of these response ids are not stored.
select i.id
from (select unnest($ids) as id) as i
anti join response_rows as r on r.id = i.id;

-- name: unknown_pairs
-- Which of these pair ids are not stored.
select i.id
from (select unnest($ids) as id) as i
anti join pair_rows as r on r.id = i.id;

-- name: unknown_presentations
-- Which of these presentation ids are not stored.
select i.id
from (select unnest($ids) as id) as i
anti join presentation_rows as r on r.id = i.id;

-- name: unknown_judgments
-- Which of these judgment ids are not stored.
select i.id
from (select unnest($ids) as id) as i
anti join judgment_rows as r on r.id = i.id;

-- name: last_revisions
-- The last word each of these labelers had on the pair beside them, where they had one.
select
    j.pair_id,
    j.labeler,
    max(j.revision) as revision
from judgment_rows as j
inner join (
    select
        unnest($pair_ids) as pair_id,
        unnest($labelers) as labeler
) as i on i.pair_id = j.pair_id and i.labeler = j.labeler
group by j.pair_id, j.labeler;

-- name: imported_policies
-- Where imported answers come from.
select
    id,
    round,
    base_model,
    adapter,
    adapter_hash,
    parent,
    method,
    run_id,
    created_at
from policies
where method = 'imported'
order by base_model, id;

-- name: imported_summary
-- Everything that did not come from a policy of this workspace, counted.
with pairs_here as (
    select
        p.id,
        p.prompt_id,
        p.strategy,
        coalesce(c.settled, false) as settled,
        coalesce(c.votes, 0) as votes
    from pairs as p
    left join consensus as c on c.pair_id = p.id
    where p.round = $round
),

responses_here as (
    select
        r.id,
        r.prompt_id
    from response_rows as r
    inner join policies as p on p.id = r.policy_id
    where p.method = 'imported'
)

select
    (select count(distinct prompt_id) from responses_here) as prompts,
    (select count(distinct id) from responses_here) as responses,
    (select count(*) from pairs_here) as pairs,
    (select count(*) from pairs_here where strategy <> $votes_strategy) as for_labeling,
    (select count(*) from pairs_here where settled) as settled,
    (
        select count(*)
        from judgments as j
        inner join pairs_here as p on p.id = j.pair_id
        where j.verdict <> 'skip'
    ) as votes;

-- name: unsettled_imports
-- Pairs that came with their votes, where judgments were added since their consensus.
with event_counts as (
    select
        e.pair_id,
        count(*) as events
    from judgment_events as e
    inner join labelers as l on l.name = e.labeler
    where l.kind = 'human'
    group by e.pair_id
),

vote_counts as (
    select
        j.pair_id,
        count(*) filter (where j.verdict = 'first') as first_votes,
        count(*) filter (where j.verdict = 'second') as second_votes,
        count(*) filter (where j.verdict = 'tie') as tie_votes,
        count(*) filter (where j.verdict = 'both_bad') as both_bad_votes
    from judgments as j
    inner join labelers as l on l.name = j.labeler
    where l.kind = 'human'
    group by j.pair_id
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
    e.events,
    coalesce(v.first_votes, 0) as first_votes,
    coalesce(v.second_votes, 0) as second_votes,
    coalesce(v.tie_votes, 0) as tie_votes,
    coalesce(v.both_bad_votes, 0) as both_bad_votes
from pairs as p
inner join event_counts as e on e.pair_id = p.id
left join vote_counts as v on v.pair_id = p.id
left join consensus as c on c.pair_id = p.id
where p.strategy = $strategy
    and e.events > coalesce(c.events, 0)
order by p.id;

-- name: imported_firsts
-- Which response is the first of each pair that came with its votes.
select
    id,
    "first"
from pairs
where strategy = $strategy
order by id;
