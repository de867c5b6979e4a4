-- Every symmetric gap with its control, and the simultaneous bands of both where the report shows them.
WITH banded AS (
    SELECT gaps.*, bands.band_low, bands.band_high, bands.std_error, bands.critical, bands.cells
    FROM population_gaps AS gaps
    LEFT JOIN bands USING (model, epoch, population, query, k, labels, scope, metric)
)
SELECT
    gap.model,
    gap.epoch,
    reference_sides.reference,
    gap.query,
    gap.k,
    gap.labels,
    gap.scope,
    gap.metric,
    gap.value,
    gap.ci_low,
    gap.ci_high,
    gap.band_low,
    gap.band_high,
    gap.mean,
    gap.std,
    gap.p_value,
    gap.p_joint,
    gap.expected,
    gap.detectable,
    gap.critical,
    gap.cells,
    gap.n,
    gap.groups,
    gap.effective_groups,
    reference_sides.control_population,
    control.value AS control_value,
    control.ci_low AS control_low,
    control.ci_high AS control_high,
    control.band_low AS control_band_low,
    control.band_high AS control_band_high,
    control.p_value AS control_p_value,
    control.n AS control_n,
    metrics.place AS metric_place,
    reported_cell.k IS NOT NULL AS is_reported,
    last_epochs.epoch IS NOT NULL AS is_last
FROM banded AS gap
JOIN reference_sides ON reference_sides.model = gap.model
JOIN metrics ON metrics.metric = gap.metric AND metrics.is_tested
JOIN banded AS control
    ON control.model = gap.model
    AND control.epoch = gap.epoch
    AND control.population = reference_sides.control_population
    AND control.query = gap.query
    AND control.k = gap.k
    AND control.labels = gap.labels
    AND control.scope = gap.scope
    AND control.metric = gap.metric
LEFT JOIN reported_cell ON reported_cell.k = gap.k AND reported_cell.labels = gap.labels
LEFT JOIN last_epochs ON last_epochs.model = gap.model AND last_epochs.epoch = gap.epoch
WHERE gap.population = 'symmetric';
