-- Every replicate's symmetric gap at the points of the studies, in scope `all`, with its resamples by draw. Draw i takes
-- the same groups in all replicates and models of a split. Points of which one pair of models was trained have no rows.
SELECT
    studies.study,
    studies.place,
    found.query,
    found.metric,
    found.replicate,
    found.value,
    list(draws.value ORDER BY draws.draw) AS drawn
FROM studies
JOIN replicates AS found ON found.model = studies.model AND found.epoch = studies.epoch
JOIN metrics ON metrics.metric = found.metric AND metrics.is_tested
JOIN reported_cell ON reported_cell.k = found.k AND reported_cell.labels = found.labels
JOIN replicate_draws AS draws
    ON draws.model = found.model
    AND draws.epoch = found.epoch
    AND draws.replicate = found.replicate
    AND draws.query = found.query
    AND draws.k = found.k
    AND draws.labels = found.labels
    AND draws.scope = found.scope
    AND draws.metric = found.metric
WHERE found.population = 'symmetric'
  AND found.scope = 'all'
GROUP BY studies.study, studies.place, found.query, found.metric, found.replicate, found.value
ORDER BY studies.study, studies.place, found.query, found.metric, found.replicate;
