-- name: responses_of_policy
-- Every response of one policy with these sampling limits, by prompt.
select
    id,
    prompt_id,
    policy_id,
    text,
    prompt_token_ids,
    token_ids,
    logprob_sum,
    finish_reason,
    temperature,
    top_p,
    max_tokens,
    seed,
    sample_index,
    engine,
    template_hash,
    run_id,
    created_at
from responses
where policy_id = $policy_id
order by prompt_id, temperature, sample_index, id;

-- name: response_ids_of_policy
-- What is already sampled from one policy.
select distinct id
from response_rows
where policy_id = $policy_id;

-- name: responses_by_ids
-- The responses with these ids.
select
    id,
    prompt_id,
    policy_id,
    text,
    prompt_token_ids,
    token_ids,
    logprob_sum,
    finish_reason,
    temperature,
    top_p,
    max_tokens,
    seed,
    sample_index,
    engine,
    template_hash,
    run_id,
    created_at
from responses
where list_contains($ids, id);

-- name: response_texts_by_ids
-- The texts of the responses with these ids.
select
    id,
    any_value(text) as text
from response_rows
where id in (select unnest($ids))
group by id;
