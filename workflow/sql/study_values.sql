-- The scores of the training roles' queries at the points in `wanted` (study, place), with their duplicate groups: at the
-- reported k and label count. Points of two splits share the groups that both ask.
SELECT
    studies.study,
    studies.place,
    scores.query,
    scores.scope,
    scores.population,
    samples.group_id,
    scores.precision_a,
    scores.precision_b,
    scores.recall_a,
    scores.recall_b
FROM studies
JOIN wanted USING (study, place)
JOIN sample_scores AS scores ON scores.model = studies.model AND scores.epoch = studies.epoch
JOIN reported_cell ON reported_cell.k = scores.k AND reported_cell.labels = scores.labels
JOIN samples ON samples.row = scores.row AND samples.role = scores.population
WHERE scores.population IN ('a', 'b')
-- in an order, or the last bits of a sum would be those of whichever thread came first
ORDER BY studies.place, scores.query, scores.scope, scores.population, scores.row;
