-- Memorization against utility, one row per model that was measured for utility: the symmetric PPG of all objects with
-- its band, its null, and recall@10 of holdout retrieval, mean over sides and directions.
WITH useful AS (
    SELECT model, epoch, avg(value) AS recall_at_10
    FROM utility
    WHERE task = 'retrieval' AND metric LIKE '%recall@10'
    GROUP BY model, epoch
)
SELECT
    gaps.model,
    gaps.epoch,
    gaps.value AS gap,
    band.band_low,
    band.band_high,
    null_control.value AS null_value,
    null_band.band_low AS null_low,
    null_band.band_high AS null_high,
    useful.recall_at_10
FROM bands AS band
JOIN population_gaps AS gaps USING (model, epoch, population, k, labels, scope, metric)
JOIN bands AS null_band USING (model, epoch, k, labels, scope, metric)
JOIN population_gaps AS null_control
    ON null_control.model = null_band.model
    AND null_control.epoch = null_band.epoch
    AND null_control.population = null_band.population
    AND null_control.k = null_band.k
    AND null_control.labels = null_band.labels
    AND null_control.scope = null_band.scope
    AND null_control.metric = null_band.metric
JOIN useful ON useful.model = gaps.model AND useful.epoch = gaps.epoch
WHERE band.population = 'symmetric'
  AND null_band.population = 'holdout'
  AND band.metric = 'ppg'
  AND band.scope = 'all'
ORDER BY gaps.model;
