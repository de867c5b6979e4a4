-- The scores of the training roles' queries at the points in the table `wanted` (study, place), with their duplicate
-- groups, at the reported k and label count. Groups pair the queries of points in different splits.
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
-- A fixed order: sums over rows in any order would differ in the last bits.
ORDER BY studies.place, scores.query, scores.scope, scores.population, scores.row;
