-- What each model is good for: retrieval on the holdout and all benchmarks, mean over the two sides at the last epoch.
SELECT
    model,
    epoch,
    task,
    metric,
    avg(value) AS value,
    min(value) AS worse_side,
    max(value) AS better_side,
    any_value(n) AS n
FROM utility
WHERE epoch = (SELECT max(epoch) FROM utility AS same WHERE same.model = utility.model)
GROUP BY model, epoch, task, metric
ORDER BY task, split_part(metric, '@', 1), try_cast(split_part(metric, '@', 2) AS INTEGER), model;
