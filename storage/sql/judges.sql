-- name: judged_by
-- What one labeler has judged and how, for a model that goes on where it was.
select
    pair_id,
    criteria
from judgments
where labeler = $labeler
order by pair_id;

-- name: model_judgments
-- Every counting judgment of a model on training and evaluation pairs, with the answers' lengths.
select
    j.labeler,
    j.pair_id,
    j.verdict,
    j.criteria,
    length(f.text) as first_chars,
    length(s.text) as second_chars
from judgments as j
inner join labelers as l on l.name = j.labeler
inner join pairs as p on p.id = j.pair_id
inner join responses as f on f.id = p."first"
inner join responses as s on s.id = p."second"
where l.kind = 'model'
    and j.verdict <> 'skip'
    and p.purpose in ('train', 'evaluation')
order by j.labeler, j.pair_id;
