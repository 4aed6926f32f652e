-- Who is at which case, for the other labeling servers on the same store.

create table case_visit_rows (
    pair_id varchar, adjudicator varchar, ended boolean, created_at timestamp
);
