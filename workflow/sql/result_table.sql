-- The result table: every gap of the reported k and label count, by query, at each model's last epoch. Each row has the
-- gap and its control, with the simultaneous bands of both. The control is the same gap on the holdout, which neither
-- side was trained on: the difference between the sides. In a one-model test the control is half the difference between
-- two roles that the model was not trained on. Further columns hold what each side remembers, and the placebo, which is
-- the symmetric gap with halves of the holdout as a and b.
WITH others AS (
    SELECT
        model,
        epoch,
        query,
        k,
        labels,
        scope,
        metric,
        max(value) FILTER (population = 'a') AS value_a,
        max(value) FILTER (population = 'b') AS value_b,
        max(value) FILTER (population = 'memory_a') AS memory_a,
        max(ci_low) FILTER (population = 'memory_a') AS memory_a_low,
        max(ci_high) FILTER (population = 'memory_a') AS memory_a_high,
        max(value) FILTER (population = 'memory_b') AS memory_b,
        max(ci_low) FILTER (population = 'memory_b') AS memory_b_low,
        max(ci_high) FILTER (population = 'memory_b') AS memory_b_high,
        max(value) FILTER (population = 'placebo') AS placebo,
        max(ci_low) FILTER (population = 'placebo') AS placebo_low,
        max(ci_high) FILTER (population = 'placebo') AS placebo_high,
        max(p_value) FILTER (population = 'placebo') AS placebo_p_value
    FROM population_gaps
    GROUP BY ALL
)
SELECT
    memorized.model,
    memorized.epoch,
    memorized.reference,
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
    others.value_a,
    others.value_b,
    memorized.control_population,
    memorized.control_value,
    memorized.control_band_low,
    memorized.control_band_high,
    memorized.control_low,
    memorized.control_high,
    memorized.control_p_value,
    memorized.control_n,
    others.memory_a,
    others.memory_a_low,
    others.memory_a_high,
    others.memory_b,
    others.memory_b_low,
    others.memory_b_high,
    others.placebo,
    others.placebo_low,
    others.placebo_high,
    others.placebo_p_value
FROM gaps_with_controls AS memorized
JOIN others USING (model, epoch, query, k, labels, scope, metric)
WHERE memorized.is_reported AND memorized.is_last
ORDER BY
    memorized.scope,
    memorized.model,
    list_position(['caption', 'masked', 'remainder', 'rare'], memorized.query),
    memorized.metric_place;
