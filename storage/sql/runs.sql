-- name: runs_with_state
-- Every run with its last event, newest first.
with last_event as (
    from run_events
    qualify row_number() over (partition by run_id order by sequence desc) = 1
)

select
    r.id,
    r.kind,
    r.round,
    r.config,
    r.versions,
    r.pid,
    r.created_at,
    coalesce(e.sequence, -1) as sequence,
    coalesce(e.status, 'running') as status,
    coalesce(e.progress, 0.0) as progress,
    coalesce(e.message, '') as message,
    coalesce(e.created_at, r.created_at) as updated_at
from runs as r
left join last_event as e on e.run_id = r.id
order by r.created_at desc, r.id;

-- name: events_of_run
-- One run's events in order.
select
    run_id,
    sequence,
    status,
    progress,
    message,
    metrics,
    created_at
from run_events
where run_id = $run_id
order by sequence;

-- name: run_rows
-- How many rows runs have: changes exactly when a command appended one.
select
    (select count(*) from runs) as runs,
    (select count(*) from run_events) as events;
