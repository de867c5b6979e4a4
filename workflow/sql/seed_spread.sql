-- The noise of training itself, which no interval on one pair of models contains: how far the gap and its null spread
-- over the seeds of a study, at the reported k and label count.
SELECT
    studies.study,
    gaps.scope,
    gaps.metric,
    count(*) AS seeds,
    avg(gaps.value) AS mean,
    stddev_samp(gaps.value) AS spread,
    avg(null_control.value) AS null_mean,
    stddev_samp(null_control.value) AS null_spread
FROM studies
JOIN population_gaps AS gaps ON gaps.model = studies.model AND gaps.epoch = studies.epoch
JOIN population_gaps AS null_control
    ON null_control.model = gaps.model
    AND null_control.epoch = gaps.epoch
    AND null_control.k = gaps.k
    AND null_control.labels = gaps.labels
    AND null_control.scope = gaps.scope
    AND null_control.metric = gaps.metric
WHERE studies.axis = 'seed'
  AND gaps.population = 'symmetric'
  AND null_control.population = 'holdout'
  AND gaps.metric IN ('ppg', 'prg', 'aucg')
  AND gaps.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND gaps.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
GROUP BY studies.study, gaps.scope, gaps.metric
ORDER BY studies.study, gaps.scope, list_position(['ppg', 'prg', 'aucg'], gaps.metric);
