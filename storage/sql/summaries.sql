-- name: round_summaries
-- Per round: what was sampled, asked, judged, settled and trained.
with response_counts as (
    select
        p.round,
        count(distinct r.prompt_id) as prompts,
        count(distinct r.id) as responses
    from response_rows as r
    inner join policies as p on p.id = r.policy_id
    group by p.round
),

pair_counts as (
    select
        p.round,
        count(*) filter (where p.purpose = 'train') as pairs,
        count(*) filter (where p.purpose = 'evaluation') as evaluation_pairs,
        count(*) filter (where p.purpose = 'train' and c.settled) as settled,
        count(*) filter (where p.purpose = 'train' and c.closed) as closed,
        count(*) filter (where p.purpose = 'evaluation' and c.closed) as evaluation_closed,
        count(*) filter (
            where p.purpose = 'train' and c.settled and c.verdict in ('first', 'second')
        ) as decided
    from pairs as p
    left join consensus as c on c.pair_id = p.id
    group by p.round
),

vote_counts as (
    select
        p.round,
        count(*) filter (where p.purpose = 'train') as votes
    from judgments as j
    inner join pairs as p on p.id = j.pair_id
    left join labelers as l on l.name = j.labeler
    where j.verdict <> 'skip'
        and coalesce(l.kind, 'human') <> 'model'
    group by p.round
),

triplet_counts as (
    select
        p.round - 1 as round,
        count(*) filter (where t.split = 'train') as triplets
    from triplets as t
    inner join policies as p on p.run_id = t.run_id
    group by p.round
)

select
    r.round,
    r.prompts,
    r.responses,
    coalesce(p.pairs, 0) as pairs,
    coalesce(p.settled, 0) as settled,
    coalesce(p.decided, 0) as decided,
    coalesce(v.votes, 0) as votes,
    coalesce(p.evaluation_pairs, 0) as evaluation_pairs,
    coalesce(p.closed, 0) as closed,
    coalesce(p.evaluation_closed, 0) as evaluation_closed,
    coalesce(t.triplets, 0) as triplets
from response_counts as r
left join pair_counts as p on p.round = r.round
left join vote_counts as v on v.round = r.round
left join triplet_counts as t on t.round = r.round
where r.round >= 0
order by r.round;

-- name: evaluation_outcomes
-- Every settled comparison of two policies, with the verdict in stored order.
select
    p.id as pair_id,
    p.prompt_id,
    f.policy_id as first_policy,
    s.policy_id as second_policy,
    c.verdict,
    length(f.text) as first_chars,
    length(s.text) as second_chars
from pairs as p
inner join consensus as c on c.pair_id = p.id
inner join responses as f on f.id = p."first"
inner join responses as s on s.id = p."second"
where p.purpose = 'evaluation'
    and c.settled
    and c.verdict is not null
order by p.id;

-- name: comparison_ids
-- The pairs in which two policies meet to be compared.
select p.id
from pairs as p
inner join responses as f on f.id = p."first"
inner join responses as s on s.id = p."second"
where p.purpose = 'evaluation'
    and (
        (f.policy_id = $policy and s.policy_id = $against)
        or (f.policy_id = $against and s.policy_id = $policy)
    )
order by p.id;

-- name: evaluation_judgments
-- Every model's counting judgment on a comparison of two policies, in stored order.
select
    j.labeler,
    p.id as pair_id,
    p.prompt_id,
    f.policy_id as first_policy,
    s.policy_id as second_policy,
    j.verdict,
    length(f.text) as first_chars,
    length(s.text) as second_chars
from judgments as j
inner join labelers as l on l.name = j.labeler
inner join pairs as p on p.id = j.pair_id
inner join responses as f on f.id = p."first"
inner join responses as s on s.id = p."second"
where l.kind = 'model'
    and p.purpose = 'evaluation'
    and j.verdict <> 'skip'
order by j.labeler, p.id;

-- name: table_counts
-- Rows stored, by kind.
select
    (select count(*) from prompts) as prompts,
    (select count(*) from policies) as policies,
    (select count(distinct id) from response_rows) as responses,
    (select count(distinct id) from pair_rows) as pairs,
    (select count(*) from judgments) as judgments;

-- name: dashboard_version
-- Rows of all that the progress page shows; rows are only ever appended. Nothing is scanned.
select
    (select count(*) from prompt_rows) as prompts,
    (select count(*) from policy_rows) as policies,
    (select count(*) from response_rows) as responses,
    (select count(*) from pair_rows) as pairs,
    (select count(*) from judgment_rows) as judgments,
    (select count(*) from labeler_rows) as labelers,
    (select count(*) from labeler_settings_rows) as labeler_settings,
    (select count(*) from gold_rows) as gold,
    (select count(*) from consensus_rows) as consensus,
    (select count(*) from triplet_rows) as triplets;
