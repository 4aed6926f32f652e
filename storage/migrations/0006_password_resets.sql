-- Links with which somebody chooses a new password.

create table password_reset_rows (
    token_hash varchar, labeler varchar, author varchar, expires_at timestamp, created_at timestamp
);

create view password_resets as
from password_reset_rows
qualify row_number() over (partition by token_hash order by created_at) = 1;
