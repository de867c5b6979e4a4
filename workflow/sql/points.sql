-- Every model at every checkpoint that was measured: the symmetric gap of all objects with its 95 % interval, each for
-- itself, its null, and recall@10 of holdout retrieval where there is one.
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
    null_control.value AS null_value,
    null_control.ci_low AS null_low,
    null_control.ci_high AS null_high,
    useful.recall_at_10
FROM population_gaps AS gaps
JOIN sides AS reference ON reference.model = gaps.model AND reference.side = 'b'
JOIN population_gaps AS null_control
    ON null_control.model = gaps.model
    AND null_control.epoch = gaps.epoch
    AND null_control.k = gaps.k
    AND null_control.labels = gaps.labels
    AND null_control.scope = gaps.scope
    AND null_control.metric = gaps.metric
LEFT JOIN useful ON useful.model = gaps.model AND useful.epoch = gaps.epoch
WHERE gaps.population = 'symmetric'
  AND null_control.population = CASE reference.kind WHEN 'text_encoder' THEN 'unseen' ELSE 'holdout' END
  AND gaps.scope = 'all'
  AND gaps.metric IN ('ppg', 'prg', 'aucg')
  AND gaps.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND gaps.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
ORDER BY gaps.model, gaps.epoch, list_position(['ppg', 'prg', 'aucg'], gaps.metric);
