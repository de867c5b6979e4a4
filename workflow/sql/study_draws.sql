-- The bootstrap draws of every study's points, in scope `all`. Draw i is the same resample for all models of a split.
SELECT studies.study, studies.place, draws.query, draws.metric, list(draws.value ORDER BY draws.draw) AS drawn
FROM studies
JOIN bootstrap_draws AS draws ON draws.model = studies.model AND draws.epoch = studies.epoch
JOIN metrics ON metrics.metric = draws.metric AND metrics.is_tested
JOIN reported_cell ON reported_cell.k = draws.k AND reported_cell.labels = draws.labels
WHERE draws.population = 'symmetric'
  AND draws.scope = 'all'
GROUP BY studies.study, studies.place, draws.query, draws.metric
ORDER BY studies.study, studies.place, draws.query, draws.metric;
