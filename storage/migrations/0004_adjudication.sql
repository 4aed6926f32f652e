-- Adjudication: views given before the votes are shown, decisions, and what was written about them.

create table own_view_rows (
    id varchar, pair_id varchar, adjudicator varchar, verdict varchar, strength varchar,
    note varchar, first_side varchar, seconds double, created_at timestamp
);
create table adjudication_rows (
    id varchar, pair_id varchar, revision bigint, adjudicator varchar, verdict varchar,
    cause varchar, note varchar, withdrawn boolean, created_at timestamp
);
create table discussion_note_rows (
    id varchar, pair_id varchar, author varchar, text varchar, created_at timestamp
);

create view own_views as
from own_view_rows
qualify row_number() over (partition by pair_id, adjudicator order by created_at, id) = 1;

create view adjudication_events as
from adjudication_rows qualify row_number() over (partition by id order by created_at) = 1;

create view adjudications as
from (
    from adjudication_events
    qualify row_number() over (partition by pair_id order by revision desc, created_at desc, id) = 1
)
where not withdrawn;

create view discussion_notes as
from discussion_note_rows qualify row_number() over (partition by id order by created_at) = 1;
