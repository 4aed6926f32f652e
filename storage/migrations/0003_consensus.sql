-- A triplet names the quality tier it is of; of older rows the votes tell it.

alter table triplet_rows add column tier varchar;

create or replace view triplets as
select * replace (
    coalesce(
        tier,
        case
            when round < 0 then 'imported'
            when votes > 1 then 'human_agreed'
            else 'human_single'
        end
    ) as tier
)
from triplet_rows
qualify row_number() over (partition by id order by created_at) = 1;
