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
