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
