-- Every point of the studies that was measured in this split: the symmetric gap of the reported k and label count with
-- its 95 % interval, each for itself, and its null on the holdout.
SELECT
    studies.study,
    studies.place,
    studies.value,
    studies.model,
    studies.epoch,
    gaps.scope,
    gaps.metric,
    gaps.value AS gap,
    gaps.ci_low,
    gaps.ci_high,
    gaps.p_value,
    gaps.n,
    null_control.value AS null_value,
    null_control.ci_low AS null_low,
    null_control.ci_high AS null_high
FROM studies
JOIN population_gaps AS gaps ON gaps.model = studies.model AND gaps.epoch = studies.epoch
JOIN population_gaps AS null_control
    ON null_control.model = gaps.model
    AND null_control.epoch = gaps.epoch
    AND null_control.k = gaps.k
    AND null_control.labels = gaps.labels
    AND null_control.scope = gaps.scope
    AND null_control.metric = gaps.metric
WHERE gaps.population = 'symmetric'
  AND null_control.population = 'holdout'
  AND gaps.metric IN ('ppg', 'prg', 'aucg')
  AND gaps.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND gaps.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
ORDER BY studies.study, studies.place, gaps.scope, list_position(['ppg', 'prg', 'aucg'], gaps.metric);
