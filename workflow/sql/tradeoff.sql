-- Memorization against utility, one row per model: the symmetric PPG of all objects, its null, and recall@10 of
-- holdout retrieval, mean over sides and directions.
SELECT
    gaps.model,
    gaps.epoch,
    gaps.value AS gap,
    gaps.ci_low,
    gaps.ci_high,
    null_control.value AS null_value,
    null_control.ci_low AS null_low,
    null_control.ci_high AS null_high,
    (
        SELECT avg(utility.value)
        FROM utility
        WHERE utility.model = gaps.model
          AND utility.epoch = gaps.epoch
          AND task = 'retrieval'
          AND utility.metric LIKE '%recall@10'
    ) AS recall_at_10
FROM population_gaps AS gaps
JOIN population_gaps AS null_control USING (model, epoch, k, labels, scope, metric)
WHERE gaps.population = 'symmetric'
  AND null_control.population = 'holdout'
  AND gaps.metric = 'ppg'
  AND gaps.scope = 'all'
  AND gaps.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND gaps.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
  AND gaps.epoch = (SELECT max(epoch) FROM population_gaps AS same WHERE same.model = gaps.model)
ORDER BY gaps.model;
