-- Memorization against utility, one row per model that was measured for utility: the symmetric PPG of all objects with
-- its band, its control, and recall@10 of holdout retrieval, mean over sides and directions.
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
    control.value AS control_value,
    control_band.band_low AS control_low,
    control_band.band_high AS control_high,
    useful.recall_at_10
FROM bands AS band
JOIN population_gaps AS gaps USING (model, epoch, population, query, k, labels, scope, metric)
JOIN bands AS control_band USING (model, epoch, query, k, labels, scope, metric)
JOIN population_gaps AS control
    ON control.model = control_band.model
    AND control.epoch = control_band.epoch
    AND control.population = control_band.population
    AND control.k = control_band.k
    AND control.labels = control_band.labels
    AND control.query = control_band.query
    AND control.scope = control_band.scope
    AND control.metric = control_band.metric
JOIN useful ON useful.model = gaps.model AND useful.epoch = gaps.epoch
WHERE band.population = 'symmetric'
  AND control_band.population = 'holdout'
  AND band.metric = 'ppg'
  AND band.scope = 'all'
  AND band.query = 'caption'
ORDER BY gaps.model;
