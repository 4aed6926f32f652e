-- Pairs that somebody sent to the adjudicators, whatever the votes on them say.

create table case_request_rows (
    pair_id varchar, reason varchar, author varchar, created_at timestamp
);

create view case_requests as
from case_request_rows
qualify row_number() over (partition by pair_id order by created_at, author) = 1;
