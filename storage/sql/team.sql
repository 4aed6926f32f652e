-- name: gold_all
-- What is known of every gold pair.
select
    pair_id,
    revision,
    use,
    verdict,
    explanation,
    source,
    active,
    author,
    created_at
from gold
order by created_at, pair_id;

-- name: labeler_settings_all
-- What work everybody gets.
select
    name,
    revision,
    groups,
    daily_limit,
    total_limit,
    paused,
    qualified,
    author,
    created_at
from labeler_settings
order by name;

-- name: assignments_all
-- Which pairs are for whom, oldest first.
select
    id,
    revision,
    tag,
    pair_ids,
    people,
    priority,
    active,
    author,
    created_at
from assignments
order by created_at, id;

-- name: settings_all
-- The distribution settings changed while the project runs.
select
    key,
    revision,
    value,
    author,
    created_at
from settings
order by key;

-- name: guidelines_all
-- Every version of the guidelines, newest first.
select
    id,
    revision,
    text,
    author,
    created_at
from guidelines
order by revision desc;

-- name: invitations_all
-- Every invitation, newest first.
select
    token_hash,
    revision,
    name,
    role,
    groups,
    used_by,
    revoked,
    author,
    expires_at,
    created_at
from invitations
order by created_at desc, token_hash;

-- name: api_tokens_all
-- Every API token, newest first.
select
    token_hash,
    labeler,
    label,
    revoked,
    expires_at,
    created_at
from api_tokens
order by created_at desc, token_hash;

-- name: invitation_by_token
-- The invitation behind a link's hash.
select
    token_hash,
    revision,
    name,
    role,
    groups,
    used_by,
    revoked,
    author,
    expires_at,
    created_at
from invitations
where token_hash = $token_hash;

-- name: api_token_by_hash
-- The API token behind a hash.
select
    token_hash,
    labeler,
    label,
    revoked,
    expires_at,
    created_at
from api_tokens
where token_hash = $token_hash;

-- name: activities_newest
-- The end of the activity trail, newest first.
select
    id,
    actor,
    action,
    subject,
    detail,
    created_at
from activities
order by created_at desc, id
limit $count;

-- name: team_versions
-- How many rows there are of what steers the work: changes exactly when some of it does.
select
    (select count(*) from gold_rows) as gold,
    (select count(*) from labeler_settings_rows) as labelers,
    (select count(*) from assignment_rows) as assignments,
    (select count(*) from setting_rows) as settings,
    (select count(*) from guideline_rows) as guidelines;

-- name: pairs_by_tag
-- The pairs whose prompts have one of these tags.
select
    t.tag,
    p.id as pair_id
from pairs as p
inner join (
    select
        id,
        unnest(tags) as tag
    from prompts
) as t on t.id = p.prompt_id
where list_contains($tags, t.tag)
order by t.tag, p.id;

-- name: gold_votes
-- Every counting vote on an active gold pair, oldest first, with what it should have been.
select
    j.labeler,
    j.pair_id,
    j.verdict,
    g.verdict as expected,
    g.use,
    j.created_at
from judgments as j
inner join gold as g on g.pair_id = j.pair_id
where j.verdict <> 'skip'
    and g.active
order by j.created_at, j.id;

-- name: repeat_votes
-- Every repeated pair that its labeler judged both times: what they said then and now.
select
    j.labeler,
    j.pair_id,
    j.verdict,
    before.verdict as before
from judgments as j
inner join pairs as p on p.id = j.pair_id and p.purpose = 'repeat'
inner join pairs as o
    on o."first" = p."first" and o."second" = p."second" and o.purpose in ('train', 'evaluation')
inner join judgments as before on before.pair_id = o.id and before.labeler = j.labeler
where j.verdict <> 'skip'
    and before.verdict <> 'skip'
order by j.created_at, j.id;

-- name: password_reset_by_token
-- The reset behind a link's hash.
select
    token_hash,
    labeler,
    author,
    expires_at,
    created_at
from password_resets
where token_hash = $token_hash;
