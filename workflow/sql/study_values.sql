-- What the queries of the training roles add to the gaps of the points in `wanted` (study, place), by duplicate group: at
-- the reported k and label count. Points of two splits share the groups that both ask.
SELECT
    studies.study,
    studies.place,
    scores.query,
    scores.scope,
    scores.population,
    samples.group_id,
    count(*) AS n,
    sum(sign(scores.precision_a - scores.precision_b))::DOUBLE AS ppg,
    sum(sign(scores.recall_a - scores.recall_b))::DOUBLE AS prg,
    -- in an order, or the last bits would be those of whichever thread came first
    sum(scores.recall_a - scores.recall_b ORDER BY scores.row) AS aucg
FROM studies
JOIN wanted USING (study, place)
JOIN sample_scores AS scores ON scores.model = studies.model AND scores.epoch = studies.epoch
JOIN samples ON samples.row = scores.row AND samples.role = scores.population
WHERE scores.population IN ('a', 'b')
  AND scores.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND scores.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
GROUP BY studies.study, studies.place, scores.query, scores.scope, scores.population, samples.group_id
ORDER BY studies.place, scores.query, scores.scope, scores.population, samples.group_id;
