-- name: labelers_all
-- Everybody who judges, in their latest state.
select
    name,
    revision,
    role,
    kind,
    password_hash,
    active,
    created_at
from labelers
order by name;

-- name: labeler_by_name
-- One labeler in their latest state.
select
    name,
    revision,
    role,
    kind,
    password_hash,
    active,
    created_at
from labelers
where name = $labeler;

-- name: session_by_token
-- The sign-in behind a cookie's hash.
select
    token_hash,
    labeler,
    revoked,
    expires_at,
    created_at
from sessions
where token_hash = $token_hash;

-- name: last_of_account
-- The newest time on an account's rows, sign-ins, tokens and reset links.
select max(created_at) as last
from (
    select created_at from labeler_rows where name = $labeler
    union all
    select created_at from session_rows where labeler = $labeler
    union all
    select created_at from api_token_rows where labeler = $labeler
    union all
    select created_at from password_reset_rows where labeler = $labeler
);

-- name: sign_in_versions
-- How many rows there are of what ends a sign-in: changes exactly when one is ended.
select
    (select count(*) from labeler_rows) as labelers,
    (select count(*) from session_rows where revoked) as sessions,
    (select count(*) from api_token_rows where revoked) as tokens;
