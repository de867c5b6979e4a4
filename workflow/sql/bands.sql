-- The simultaneous 95 % band of all gaps of a model that the report shows (max-t): with 95 % confidence, the true
-- values of all these gaps lie in their bands at once. Each model has its own family of cells, so other models in the
-- configuration change no band. Draw i is the same resample of the duplicate groups in every cell and model.
-- Run by hand, this query returns the rows of the table `bands`; change `shown` for bands of other cells.
WITH shown AS (
    SELECT gaps.model, epoch, population, query, k, labels, scope, metric, gaps.value
    FROM population_gaps AS gaps
    JOIN gaps_with_controls AS reported USING (model, epoch, query, k, labels, scope, metric)
    WHERE reported.is_reported
      AND reported.is_last
      AND gaps.population IN ('symmetric', reported.control_population)
      AND gaps.value IS NOT NULL
),
draws AS (
    SELECT shown.*, bootstrap_draws.draw, bootstrap_draws.value AS drawn
    FROM shown
    JOIN bootstrap_draws USING (model, epoch, population, query, k, labels, scope, metric)
),
errors AS (
    -- A fixed order of summation: threads that add in any order would change the last bits.
    SELECT model, epoch, population, query, scope, metric, stddev_samp(drawn ORDER BY draw) AS std_error
    FROM draws
    GROUP BY ALL
),
largest AS (
    SELECT model, draw, max(abs(drawn - value) / std_error) AS t
    FROM draws
    JOIN errors USING (model, epoch, population, query, scope, metric)
    WHERE std_error > 1e-9
    GROUP BY model, draw
),
summary AS (
    SELECT model, coalesce(quantile_cont(t, 0.95), 0) AS critical
    FROM largest
    GROUP BY model
),
numbers AS (
    SELECT model, count(*) AS cells
    FROM shown
    GROUP BY model
)
SELECT
    shown.model,
    shown.epoch,
    shown.population,
    shown.query,
    shown.k,
    shown.labels,
    shown.scope,
    shown.metric,
    -- Where all resamples are equal, the uncertainty of the gap is unknown, so there is no band.
    CASE WHEN std_error > 1e-9 THEN shown.value - critical * std_error END AS band_low,
    CASE WHEN std_error > 1e-9 THEN shown.value + critical * std_error END AS band_high,
    std_error,
    coalesce(critical, 0) AS critical,
    cells,
    -- 0.8416 is the 80 % quantile of the standard normal distribution.
    CASE WHEN std_error > 1e-9 THEN (critical + 0.8416) * std_error END AS detectable
FROM shown
JOIN errors USING (model, epoch, population, query, scope, metric)
JOIN numbers USING (model)
LEFT JOIN summary USING (model)
ORDER BY shown.model, shown.population, shown.query, shown.scope, shown.metric;
