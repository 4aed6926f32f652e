-- Of two outcomes of the same votes the one stored last stands, also where the clock was set back.

create or replace view consensus as
from consensus_rows
qualify row_number() over (partition by pair_id order by events desc, rowid desc) = 1;
