-- What each model is good for: retrieval on the holdout and all benchmarks, mean over the sides at the last epoch, with
-- the 95 % interval of that mean; and how much it differs from the model that it is compared with, on the sides that
-- both have. Draw i is the same resample of the queries for all models and sides, so a difference is taken draw by draw.
WITH last AS (
    SELECT *
    FROM utility
    WHERE epoch = (SELECT max(epoch) FROM utility AS same WHERE same.model = utility.model)
),
last_draws AS (
    SELECT * FROM utility_draws SEMI JOIN last USING (model, side, epoch, task, metric)
),
compared AS (
    SELECT substr(key, length('compared_with.') + 1) AS model, trim(value, '"') AS compared_with
    FROM config
    WHERE starts_with(key, 'compared_with.')
),
means AS (
    -- of two sides, whose sum is the same in either order
    SELECT model, epoch, task, metric, draw, avg(value::DOUBLE) AS drawn
    FROM last_draws
    GROUP BY ALL
),
intervals AS (
    SELECT
        model,
        epoch,
        task,
        metric,
        quantile_cont(drawn, 0.025) AS ci_low,
        quantile_cont(drawn, 0.975) AS ci_high,
        max(drawn) > min(drawn) AS varies
    FROM means
    GROUP BY ALL
),
pairs AS (
    SELECT one.model, task, metric, side, one.value - other.value AS difference
    FROM last AS one
    JOIN compared USING (model)
    JOIN last AS other USING (task, metric, side)
    WHERE other.model = compared.compared_with
      -- not chance, nor how many images could not be used
      AND (one.ci_low IS NOT NULL OR task = 'clip_benchmark')
),
changed AS (
    SELECT model, task, metric, avg(difference) AS change
    FROM pairs
    GROUP BY ALL
),
pair_draws AS (
    SELECT one.model, task, metric, draw, avg(one.value::DOUBLE - other.value::DOUBLE) AS drawn
    FROM last_draws AS one
    JOIN compared USING (model)
    JOIN last_draws AS other USING (task, metric, side, draw)
    WHERE other.model = compared.compared_with
    GROUP BY ALL
),
change_intervals AS (
    SELECT model, task, metric, quantile_cont(drawn, 0.025) AS change_low, quantile_cont(drawn, 0.975) AS change_high
    FROM pair_draws
    GROUP BY ALL
    -- where the two never differ the resamples say nothing of how far they might
    HAVING max(drawn) > min(drawn)
)
SELECT
    last.model,
    last.epoch,
    last.task,
    last.metric,
    avg(last.value) AS value,
    min(last.value) AS worse_side,
    max(last.value) AS better_side,
    count(*) AS sides,
    -- where all queries agree, in every draw, the ends are those of the sides
    CASE WHEN any_value(varies) THEN any_value(intervals.ci_low) ELSE avg(last.ci_low) END AS ci_low,
    CASE WHEN any_value(varies) THEN any_value(intervals.ci_high) ELSE avg(last.ci_high) END AS ci_high,
    any_value(compared_with) AS compared_with,
    any_value(change) AS change,
    any_value(change_low) AS change_low,
    any_value(change_high) AS change_high,
    any_value(last.n) AS n
FROM last
LEFT JOIN intervals USING (model, epoch, task, metric)
LEFT JOIN compared USING (model)
LEFT JOIN changed USING (model, task, metric)
LEFT JOIN change_intervals USING (model, task, metric)
GROUP BY last.model, last.epoch, last.task, last.metric
ORDER BY task, split_part(metric, '@', 1), try_cast(split_part(metric, '@', 2) AS INTEGER), last.model;
