-- A response keeps each token's log-probability and every sampling setting.

alter table response_rows add column logprobs float[];
alter table response_rows add column top_k bigint;
alter table response_rows add column min_p double;
alter table response_rows add column stop varchar[];
alter table response_rows add column policy_hash varchar;

-- Older rows were sampled with none of the new settings; imported ones said "no token ids are known"
-- with empty lists.
create or replace view responses as
select * replace (
    nullif(prompt_token_ids, []) as prompt_token_ids,
    nullif(token_ids, []) as token_ids,
    coalesce(top_k, 0) as top_k,
    coalesce(min_p, 0) as min_p,
    coalesce(stop, []) as stop
)
from response_rows
qualify row_number() over (partition by id order by created_at) = 1;
