-- Append-only rows. No defaults, keys or constraints: the served and the distributed store allow
-- none, so uniqueness is by content id and the views below show the present.

create table prompt_rows (
    id varchar, messages varchar, source varchar, split varchar, tags varchar[],
    created_at timestamp
);
create table policy_rows (
    id varchar, round bigint, base_model varchar, adapter varchar, adapter_hash varchar,
    parent varchar, method varchar, run_id varchar, created_at timestamp
);
create table response_rows (
    id varchar, prompt_id varchar, policy_id varchar, text varchar, prompt_token_ids integer[],
    token_ids integer[], logprob_sum double, finish_reason varchar, temperature double,
    top_p double, max_tokens bigint, seed bigint, sample_index bigint, engine varchar,
    template_hash varchar, run_id varchar, created_at timestamp
);
create table pair_rows (
    id varchar, prompt_id varchar, "first" varchar, "second" varchar, purpose varchar,
    strategy varchar, round bigint, created_at timestamp
);
create table presentation_rows (
    id varchar, pair_id varchar, labeler varchar, first_side varchar, guideline varchar,
    created_at timestamp
);
create table judgment_rows (
    id varchar, pair_id varchar, labeler varchar, presentation_id varchar, revision bigint,
    verdict varchar, strength varchar, withdrawn boolean, criteria varchar, rationale varchar,
    edited_text varchar, flags varchar[], seconds double, created_at timestamp
);
create table labeler_rows (
    name varchar, revision bigint, role varchar, kind varchar, password_hash varchar,
    active boolean, created_at timestamp
);
create table session_rows (
    token_hash varchar, labeler varchar, revoked boolean, expires_at timestamp,
    created_at timestamp
);
create table consensus_rows (
    pair_id varchar, verdict varchar, probability_first double, votes bigint,
    first_votes bigint, second_votes bigint, tie_votes bigint, both_bad_votes bigint,
    method varchar, settled boolean, reason varchar, closed boolean, events bigint,
    created_at timestamp
);
create table triplet_rows (
    id varchar, run_id varchar, pair_id varchar, prompt_id varchar, chosen varchar,
    rejected varchar, split varchar, weight double, probability double, agreement double,
    votes bigint, round bigint, created_at timestamp
);
create table run_rows (
    id varchar, kind varchar, round bigint, config varchar, versions varchar, pid bigint,
    created_at timestamp
);
create table run_event_rows (
    run_id varchar, sequence bigint, status varchar, progress double, message varchar,
    metrics varchar, created_at timestamp
);

-- The present: the first row per content id, the last revision of what can change.

create view prompts as
from prompt_rows qualify row_number() over (partition by id order by created_at) = 1;

create view policies as
from policy_rows qualify row_number() over (partition by id order by created_at) = 1;

create view responses as
from response_rows qualify row_number() over (partition by id order by created_at) = 1;

create view pairs as
from pair_rows qualify row_number() over (partition by id order by created_at) = 1;

create view presentations as
from presentation_rows qualify row_number() over (partition by id order by created_at) = 1;

create view judgment_events as
from judgment_rows qualify row_number() over (partition by id order by created_at) = 1;

create view judgments as
from (
    from judgment_events
    qualify row_number() over (partition by pair_id, labeler order by revision desc) = 1
)
where not withdrawn;

create view labelers as
from labeler_rows
qualify row_number() over (partition by name order by revision desc, created_at desc) = 1;

create view sessions as
from session_rows
qualify row_number() over (partition by token_hash order by revoked desc, created_at) = 1;

create view consensus as
from consensus_rows
qualify row_number() over (partition by pair_id order by events desc, created_at desc) = 1;

create view triplets as
from triplet_rows qualify row_number() over (partition by id order by created_at) = 1;

create view runs as
from run_rows qualify row_number() over (partition by id order by created_at) = 1;

create view run_events as
from run_event_rows
qualify row_number() over (partition by run_id, sequence order by created_at) = 1;
