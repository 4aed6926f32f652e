-- name: responses_of_policy
-- Every response of one policy with these sampling limits, by prompt.
select
    id,
    prompt_id,
    policy_id,
    text,
    prompt_token_ids,
    token_ids,
    logprobs,
    logprob_sum,
    finish_reason,
    temperature,
    top_p,
    top_k,
    min_p,
    stop,
    max_tokens,
    seed,
    sample_index,
    engine,
    template_hash,
    policy_hash,
    run_id,
    created_at
from responses
where policy_id = $policy_id
order by prompt_id, temperature, sample_index, id;

-- name: answers_to_prompts
-- One policy's responses to these prompts, without tokens and log-probabilities, which are nearly all
-- of a row.
select
    id,
    prompt_id,
    policy_id,
    text,
    null::integer[] as prompt_token_ids,
    null::integer[] as token_ids,
    null::float[] as logprobs,
    logprob_sum,
    finish_reason,
    temperature,
    top_p,
    coalesce(top_k, 0) as top_k,
    coalesce(min_p, 0) as min_p,
    coalesce(stop, []) as stop,
    max_tokens,
    seed,
    sample_index,
    engine,
    template_hash,
    policy_hash,
    run_id,
    created_at
from response_rows
where policy_id = $policy_id
    and prompt_id in (select unnest($prompt_ids))
qualify row_number() over (partition by id order by created_at) = 1
order by prompt_id, temperature, sample_index, id;

-- name: response_ids_to_prompts
-- What is already sampled from these policies of the answers to these prompts.
select distinct id
from response_rows
where policy_id in (select unnest($policy_ids))
    and prompt_id in (select unnest($prompt_ids));

-- name: responses_by_ids
-- The responses with these ids, without each token's log-probability; with token ids only if $tokens.
-- The view's columns, from its rows, which are narrowed first.
select
    id,
    prompt_id,
    policy_id,
    text,
    if($tokens, nullif(prompt_token_ids, []), null) as prompt_token_ids,
    if($tokens, nullif(token_ids, []), null) as token_ids,
    null::float[] as logprobs,
    logprob_sum,
    finish_reason,
    temperature,
    top_p,
    coalesce(top_k, 0) as top_k,
    coalesce(min_p, 0) as min_p,
    coalesce(stop, []) as stop,
    max_tokens,
    seed,
    sample_index,
    engine,
    template_hash,
    policy_hash,
    run_id,
    created_at
from response_rows
where id in (select unnest($ids))
qualify row_number() over (partition by id order by created_at) = 1;

-- name: response_texts_by_ids
-- The texts of the responses with these ids.
select
    id,
    any_value(text) as text
from response_rows
where id in (select unnest($ids))
group by id;

-- name: mean_answer_tokens
-- Mean length of the answers sampled under this token limit.
select avg(len(token_ids)) as tokens
from response_rows
where max_tokens = $max_tokens;

-- name: sampling_speeds
-- What recent sampling runs measured last, newest first, with their configuration.
select
    r.config as config,
    arg_max(e.metrics, e."sequence") as metrics
from runs r
join run_events e on e.run_id = r.id
where r.kind = 'generate' and e.metrics <> '{}'
group by r.id, r.config, r.created_at
order by r.created_at desc
limit 20;

-- name: answers_by_temperature
-- How these answers turned out at each temperature; a duplicate says, letter for letter, what another
-- answer to its prompt at that temperature says. told: those whose number of tokens is known.
with answers as (
    select
        temperature,
        prompt_id,
        text,
        len(nullif(token_ids, [])) as tokens,
        finish_reason
    from response_rows
    where id in (select unnest($ids))
    qualify row_number() over (partition by id order by created_at) = 1
)
select
    temperature,
    count(*) as answers,
    count(tokens) as told,
    coalesce(sum(tokens), 0)::bigint as tokens,
    count(*) - count(distinct (prompt_id, text)) as duplicates,
    count(*) filter (where finish_reason = 'stop') as stop,
    count(*) filter (where finish_reason = 'length') as length,
    count(*) filter (where finish_reason = 'stop_string') as stop_string
from answers
group by temperature;
