-- name: triplets_of_run
-- What one training run was given.
select
    id,
    run_id,
    pair_id,
    prompt_id,
    chosen,
    rejected,
    split,
    weight,
    probability,
    agreement,
    votes,
    tier,
    round,
    created_at
from triplets
where run_id = $run_id
order by id;
