-- The labeling team: guidelines, gold pairs, assignments, settings, invitations, tokens, the trail.

create table gold_rows (
    pair_id varchar, revision bigint, use varchar, verdict varchar, explanation varchar,
    source varchar, active boolean, author varchar, created_at timestamp
);
create table labeler_settings_rows (
    name varchar, revision bigint, groups varchar[], daily_limit bigint, total_limit bigint,
    paused boolean, qualified boolean, author varchar, created_at timestamp
);
create table assignment_rows (
    id varchar, revision bigint, tag varchar, pair_ids varchar[], people varchar[],
    priority bigint, active boolean, author varchar, created_at timestamp
);
create table setting_rows (
    key varchar, revision bigint, value varchar, author varchar, created_at timestamp
);
create table guideline_rows (
    id varchar, revision bigint, text varchar, author varchar, created_at timestamp
);
create table invitation_rows (
    token_hash varchar, revision bigint, name varchar, role varchar, groups varchar[],
    used_by varchar, revoked boolean, author varchar, expires_at timestamp, created_at timestamp
);
create table api_token_rows (
    token_hash varchar, labeler varchar, label varchar, revoked boolean, expires_at timestamp,
    created_at timestamp
);
create table activity_rows (
    id varchar, actor varchar, action varchar, subject varchar, detail varchar,
    created_at timestamp
);

create view gold as
from gold_rows
qualify row_number() over (partition by pair_id order by revision desc, created_at desc) = 1;

create view labeler_settings as
from labeler_settings_rows
qualify row_number() over (partition by name order by revision desc, created_at desc) = 1;

create view assignments as
from assignment_rows
qualify row_number() over (partition by id order by revision desc, created_at desc) = 1;

create view settings as
from setting_rows
qualify row_number() over (partition by key order by revision desc, created_at desc) = 1;

create view guidelines as
from guideline_rows qualify row_number() over (partition by revision, id order by created_at) = 1;

create view invitations as
from invitation_rows
qualify row_number() over (partition by token_hash order by revision desc, created_at desc) = 1;

create view api_tokens as
from api_token_rows
qualify row_number() over (partition by token_hash order by revoked desc, created_at) = 1;

create view activities as
from activity_rows qualify row_number() over (partition by id order by created_at) = 1;

-- A judgment names the guidelines its labeler had; older rows have none of their own.

alter table judgment_rows add column guideline varchar;

create or replace view judgment_events as
select * replace (coalesce(guideline, '') as guideline)
from judgment_rows
qualify row_number() over (partition by id order by created_at) = 1;

create or replace view judgments as
from (
    from judgment_events
    qualify row_number() over (partition by pair_id, labeler order by revision desc) = 1
)
where not withdrawn;
