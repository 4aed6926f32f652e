-- name: activities_page
-- Part of the activity trail, newest first; $actor and $action are null for all.
select
    id,
    actor,
    action,
    subject,
    detail,
    created_at
from activities
where actor = coalesce($actor, actor)
    and action = coalesce($action, action)
order by created_at desc, id
limit $count
offset $skip;

-- name: activity_kinds
-- Who is in the trail, and what they did, each once.
select
    list_sort(list_distinct(list(actor))) as actors,
    list_sort(list_distinct(list(action))) as actions,
    count(*) as entries
from activities;
