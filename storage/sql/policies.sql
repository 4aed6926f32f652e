-- name: policies_all
-- Every policy of the loop, round 0 first; within a round the newest last.
select
    id,
    round,
    base_model,
    adapter,
    adapter_hash,
    parent,
    method,
    run_id,
    created_at
from policies
where method <> 'imported'
order by round, created_at, id;
