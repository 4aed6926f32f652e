-- Two servers may give somebody's next word on a pair the same number: the later one counts.

create or replace view judgments as
from (
    from judgment_events
    qualify row_number() over (
        partition by pair_id, labeler
        order by revision desc, created_at desc, id desc
    ) = 1
)
where not withdrawn;
