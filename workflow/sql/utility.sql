-- The utility of each model at its last epoch: retrieval on the holdout and all benchmarks, mean over the sides with
-- its 95 % interval; and the difference from the model it is compared with, on the sides that both models have. Draw i
-- is the same resample of the queries for all models and sides, so differences are taken draw by draw.
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
    -- The order of summation needs no fixing: a sum of two sides is the same in either order.
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
    SELECT own.model, task, metric, side, own.value - other.value AS difference
    FROM last AS own
    JOIN compared USING (model)
    JOIN last AS other USING (task, metric, side)
    WHERE other.model = compared.compared_with
      -- The metrics `chance` and `left_out` are no estimates; they have no interval, and no difference is shown.
      AND (own.ci_low IS NOT NULL OR task = 'clip_benchmark')
),
changed AS (
    SELECT model, task, metric, avg(difference) AS change
    FROM pairs
    GROUP BY ALL
),
pair_draws AS (
    SELECT own.model, task, metric, draw, avg(own.value::DOUBLE - other.value::DOUBLE) AS drawn
    FROM last_draws AS own
    JOIN compared USING (model)
    JOIN last_draws AS other USING (task, metric, side, draw)
    WHERE other.model = compared.compared_with
    GROUP BY ALL
),
change_intervals AS (
    SELECT model, task, metric, quantile_cont(drawn, 0.025) AS change_low, quantile_cont(drawn, 0.975) AS change_high
    FROM pair_draws
    GROUP BY ALL
    -- Where all draws are equal, the uncertainty of the difference is unknown, so there is no interval.
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
    -- Where all queries agree, all draws are equal: the interval is then the mean of the sides' exact intervals.
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
