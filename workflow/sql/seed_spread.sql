-- The noise of training itself, which no interval on one pair of models contains: how far the gap and its control spread
-- over the seeds of a study, at the reported k and label count.
SELECT
    studies.study,
    gaps.query,
    gaps.scope,
    gaps.metric,
    count(*) AS seeds,
    avg(gaps.value) AS mean,
    stddev_samp(gaps.value) AS spread,
    avg(control.value) AS control_mean,
    stddev_samp(control.value) AS control_spread
FROM studies
JOIN population_gaps AS gaps ON gaps.model = studies.model AND gaps.epoch = studies.epoch
JOIN population_gaps AS control
    ON control.model = gaps.model
    AND control.epoch = gaps.epoch
    AND control.k = gaps.k
    AND control.labels = gaps.labels
    AND control.query = gaps.query
    AND control.scope = gaps.scope
    AND control.metric = gaps.metric
WHERE studies.axis = 'seed'
  AND gaps.population = 'symmetric'
  AND control.population = 'holdout'
  AND gaps.metric IN ('ppg', 'prg', 'aucg')
  AND gaps.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND gaps.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
GROUP BY studies.study, gaps.query, gaps.scope, gaps.metric
ORDER BY studies.study, gaps.query, gaps.scope, list_position(['ppg', 'prg', 'aucg'], gaps.metric);
