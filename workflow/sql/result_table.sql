-- The result table: every gap of the reported k and label count, by query, at each model's last epoch, with its control
-- beside it and the simultaneous band of both. The control is the same gap on the holdout, which neither side was
-- trained on: the side difference. In a one-model test it is half the difference between two roles that the model was
-- not trained on. Beside them what each side remembers, and the placebo: the gap with halves of the holdout as a and b.
WITH shown AS (
    SELECT gaps.* EXCLUDE (detectable), bands.band_low, bands.band_high, bands.std_error, bands.critical, bands.cells, gaps.detectable
    FROM population_gaps AS gaps
    LEFT JOIN bands USING (model, epoch, population, query, k, labels, scope, metric)
    WHERE k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
      AND labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
      AND epoch = (SELECT max(epoch) FROM population_gaps AS same WHERE same.model = gaps.model)
      AND metric IN ('ppg', 'prg', 'aucg')
)
SELECT
    memorized.model,
    memorized.epoch,
    reference.kind AS reference,
    memorized.query,
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
    memorized.p_joint,
    memorized.expected,
    memorized.n,
    memorized.groups,
    memorized.effective_groups,
    memorized.detectable,
    memorized.critical,
    memorized.cells,
    on_a.value AS value_a,
    on_b.value AS value_b,
    control.population AS control_population,
    control.value AS control_value,
    control.band_low AS control_band_low,
    control.band_high AS control_band_high,
    control.ci_low AS control_low,
    control.ci_high AS control_high,
    control.p_value AS control_p_value,
    control.n AS control_n,
    by_a.value AS memory_a,
    by_a.ci_low AS memory_a_low,
    by_a.ci_high AS memory_a_high,
    by_b.value AS memory_b,
    by_b.ci_low AS memory_b_low,
    by_b.ci_high AS memory_b_high,
    placebo.value AS placebo,
    placebo.ci_low AS placebo_low,
    placebo.ci_high AS placebo_high,
    placebo.p_value AS placebo_p_value
FROM shown AS memorized
JOIN shown AS on_a USING (model, epoch, query, scope, metric)
JOIN shown AS on_b USING (model, epoch, query, scope, metric)
JOIN shown AS control USING (model, epoch, query, scope, metric)
JOIN sides AS reference ON reference.model = memorized.model AND reference.side = 'b'
LEFT JOIN (FROM shown WHERE population = 'memory_a') AS by_a USING (model, epoch, query, scope, metric)
LEFT JOIN (FROM shown WHERE population = 'memory_b') AS by_b USING (model, epoch, query, scope, metric)
LEFT JOIN (FROM shown WHERE population = 'placebo') AS placebo USING (model, epoch, query, scope, metric)
WHERE memorized.population = 'symmetric'
  AND on_a.population = 'a'
  AND on_b.population = 'b'
  AND control.population = CASE reference.kind WHEN 'text_encoder' THEN 'unseen' ELSE 'holdout' END
ORDER BY
    memorized.scope,
    memorized.model,
    list_position(['caption', 'masked', 'remainder', 'rare'], memorized.query),
    list_position(['ppg', 'prg', 'aucg'], memorized.metric);
