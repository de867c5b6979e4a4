-- Every point of the studies that was measured in this split: the symmetric gap of the reported k and label count with
-- its 95 % interval, each for itself, and its control on the holdout.
SELECT
    studies.study,
    studies.place,
    studies.value,
    studies.model,
    studies.epoch,
    gaps.query,
    gaps.scope,
    gaps.metric,
    gaps.value AS gap,
    gaps.ci_low,
    gaps.ci_high,
    gaps.p_value,
    gaps.n,
    control.value AS control_value,
    control.ci_low AS control_low,
    control.ci_high AS control_high
FROM studies
JOIN population_gaps AS gaps ON gaps.model = studies.model AND gaps.epoch = studies.epoch
JOIN population_gaps AS control
    ON control.model = gaps.model
    AND control.epoch = gaps.epoch
    AND control.k = gaps.k
    AND control.labels = gaps.labels
    AND control.query = gaps.query
    AND control.scope = gaps.scope
    AND control.metric = gaps.metric
WHERE gaps.population = 'symmetric'
  AND control.population = 'holdout'
  AND gaps.metric IN ('ppg', 'prg', 'aucg')
  AND gaps.k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND gaps.labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
ORDER BY studies.study, studies.place, gaps.query, gaps.scope, list_position(['ppg', 'prg', 'aucg'], gaps.metric);
