-- Every model at every checkpoint that was measured: the symmetric gap of all objects with its 95 % interval, each for
-- itself, its control, and recall@10 of holdout retrieval where there is one.
WITH useful AS (
    SELECT model, epoch, avg(value) AS recall_at_10
    FROM utility
    WHERE task = 'retrieval' AND metric LIKE '%recall@10'
    GROUP BY model, epoch
)
SELECT
    gaps.model,
    gaps.epoch,
    gaps.metric,
    gaps.value AS gap,
    gaps.ci_low,
    gaps.ci_high,
    control.value AS control_value,
    control.ci_low AS control_low,
    control.ci_high AS control_high,
    useful.recall_at_10
FROM population_gaps AS gaps
JOIN sides AS reference ON reference.model = gaps.model AND reference.side = 'b'
JOIN population_gaps AS control
    ON control.model = gaps.model
    AND control.epoch = gaps.epoch
    AND control.k = gaps.k
    AND control.labels = gaps.labels
    AND control.query = gaps.query
    AND control.scope = gaps.scope
    AND control.metric = gaps.metric
LEFT JOIN useful ON useful.model = gaps.model AND useful.epoch = gaps.epoch
WHERE gaps.population = 'symmetric'
  AND control.population = CASE reference.kind WHEN 'text_encoder' THEN 'unseen' ELSE 'holdout' END
  AND gaps.scope = 'all'
  AND gaps.query = 'caption'
  AND gaps.metric IN ('ppg', 'prg', 'aucg')
  AND gaps.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND gaps.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
ORDER BY gaps.model, gaps.epoch, list_position(['ppg', 'prg', 'aucg'], gaps.metric);
