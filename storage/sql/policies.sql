-- name: policies_all
-- Every policy, round 0 first; within a round the newest last.
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
order by round, created_at, id;
