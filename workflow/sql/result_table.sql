-- The result table: every gap of the reported k and label count, at each model's last epoch, with its null beside it
-- and the simultaneous band of both. The null is the same gap on the holdout, which neither side was trained on; in a
-- one-model test it is half the difference between two roles that the model was not trained on.
WITH shown AS (
    SELECT gaps.*, bands.band_low, bands.band_high, bands.std_error, bands.critical, bands.cells, bands.detectable
    FROM population_gaps AS gaps
    LEFT JOIN bands USING (model, epoch, population, k, labels, scope, metric)
    WHERE k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
      AND labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
      AND epoch = (SELECT max(epoch) FROM population_gaps AS same WHERE same.model = gaps.model)
      AND metric IN ('ppg', 'prg', 'aucg')
)
SELECT
    memorized.model,
    memorized.epoch,
    reference.kind AS reference,
    memorized.k,
    memorized.labels,
    memorized.scope,
    memorized.metric,
    memorized.value,
    memorized.band_low,
    memorized.band_high,
    memorized.ci_low,
    memorized.ci_high,
    memorized.mean,
    memorized.std,
    memorized.p_value,
    memorized.n,
    memorized.detectable,
    memorized.critical,
    memorized.cells,
    on_a.value AS value_a,
    on_b.value AS value_b,
    null_control.population AS null_population,
    null_control.value AS null_value,
    null_control.band_low AS null_band_low,
    null_control.band_high AS null_band_high,
    null_control.ci_low AS null_low,
    null_control.ci_high AS null_high,
    null_control.p_value AS null_p_value,
    null_control.n AS null_n
FROM shown AS memorized
JOIN shown AS on_a USING (model, epoch, scope, metric)
JOIN shown AS on_b USING (model, epoch, scope, metric)
JOIN shown AS null_control USING (model, epoch, scope, metric)
JOIN sides AS reference ON reference.model = memorized.model AND reference.side = 'b'
WHERE memorized.population = 'symmetric'
  AND on_a.population = 'a'
  AND on_b.population = 'b'
  AND null_control.population = CASE reference.kind WHEN 'text_encoder' THEN 'unseen' ELSE 'holdout' END
ORDER BY
    memorized.scope,
    memorized.model,
    list_position(['ppg', 'prg', 'aucg'], memorized.metric);
