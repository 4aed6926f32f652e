-- name: pair_facts
-- What the judged pairs of these purposes can be told apart by.
-- temperatures are null where the answers came from elsewhere.
with judged as (
    select distinct pair_id
    from judgment_rows
),

answers as (
    select
        id,
        any_value(policy_id) as policy_id,
        any_value(temperature) as temperature,
        any_value(length(text)) as chars
    from response_rows
    group by id
),

named as (
    select
        id,
        if(any_value(round) < 0, any_value(base_model), 'round ' || any_value(round)) as name,
        any_value(round) as round
    from policy_rows
    group by id
),

tagged as (
    select
        id,
        any_value(tags) as tags
    from prompt_rows
    group by id
)

select
    p.id as pair_id,
    t.tags,
    fp.name as first_policy,
    sp.name as second_policy,
    if(fp.round < 0, null, f.temperature) as first_temperature,
    if(sp.round < 0, null, s.temperature) as second_temperature,
    f.chars as first_chars,
    s.chars as second_chars
from pairs as p
inner join judged as j on j.pair_id = p.id
inner join answers as f on f.id = p."first"
inner join answers as s on s.id = p."second"
inner join named as fp on fp.id = f.policy_id
inner join named as sp on sp.id = s.policy_id
inner join tagged as t on t.id = p.prompt_id
where list_contains($purposes, p.purpose)
order by p.id;

-- name: vote_guidelines
-- The version of the guidelines behind each vote that was given under one.
with versions as (
    select
        id,
        min(revision) + 1 as version
    from guideline_rows
    group by id
)

select
    j.pair_id,
    j.labeler,
    v.version
from judgments as j
inner join versions as v on v.id = j.guideline
where j.verdict <> 'skip';

-- name: judgments_not_counted
-- Present judgments of people that are no votes on pairs to learn from, by reason.
with latest as (
    select
        pair_id,
        labeler,
        verdict,
        withdrawn
    from judgment_events
    qualify row_number() over (partition by pair_id, labeler order by revision desc) = 1
)

select
    count(*) filter (where j.withdrawn) as withdrawn,
    count(*) filter (where not j.withdrawn and p.purpose = 'gold') as gold_pairs,
    count(*) filter (where not j.withdrawn and p.purpose = 'repeat') as hidden_repeats,
    count(*) filter (
        where not j.withdrawn
            and p.purpose in ('train', 'evaluation')
            and j.verdict = 'skip'
    ) as skips
from latest as j
inner join pairs as p on p.id = j.pair_id
left join labelers as l on l.name = j.labeler
where coalesce(l.kind, 'human') <> 'model';

-- name: consensus_counts
-- Where the judged pairs to learn from stand, in kinds.
select
    c.method,
    c.settled,
    c.closed,
    c.verdict,
    count(*) as pairs
from consensus as c
inner join pairs as p on p.id = c.pair_id
where p.purpose in ('train', 'evaluation')
group by c.method, c.settled, c.closed, c.verdict
order by pairs desc, c.method, c.verdict;

-- name: prompt_excerpts
-- The beginning of what these pairs ask.
select
    p.id as pair_id,
    p.round,
    left(json_extract_string(r.messages, '$[#-1].content'), $chars) as excerpt
from pairs as p
inner join prompts as r on r.id = p.prompt_id
where p.id in (select unnest($pair_ids));
