-- name: prompts_all
-- Every prompt, oldest first.
select
    id,
    messages,
    source,
    split,
    tags,
    created_at
from prompts
order by created_at, id;

-- name: prompt_ids
-- What is already stored.
select distinct id
from prompt_rows;

-- name: prompt_splits
-- The split of every prompt.
select
    id,
    split
from prompts;

-- name: prompt_ids_of_splits
-- The prompts of these splits, oldest first.
select id
from prompts
where split in (select unnest($splits))
order by created_at, id;

-- name: prompts_by_ids
-- The prompts with these ids.
select
    id,
    messages,
    source,
    split,
    tags,
    created_at
from prompt_rows
where id in (select unnest($ids))
qualify row_number() over (partition by id order by created_at) = 1;
