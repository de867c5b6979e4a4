-- What the models of every study's points are good for: mean over the sides with its 95 % interval, and both sides. The
-- metric `recall@10` is that of retrieval, mean of both directions.
WITH measured AS (
    SELECT model, epoch, side, task, metric, value, ci_low, ci_high FROM utility
    UNION ALL
    SELECT model, epoch, side, task, 'recall@10', avg(value), NULL, NULL
    FROM utility
    WHERE task = 'retrieval' AND metric LIKE '%\_recall@10' ESCAPE '\'
    GROUP BY model, epoch, side, task
)
SELECT
    studies.study,
    studies.place,
    studies.value,
    studies.model,
    studies.epoch,
    measured.task,
    measured.metric,
    avg(measured.value) AS utility,
    min(measured.value) AS worse_side,
    max(measured.value) AS better_side,
    -- of a metric whose draws do not vary, see utility.sql
    avg(measured.ci_low) AS exact_low,
    avg(measured.ci_high) AS exact_high
FROM studies
JOIN measured ON measured.model = studies.model AND measured.epoch = studies.epoch
GROUP BY studies.study, studies.place, studies.value, studies.model, studies.epoch, measured.task, measured.metric
ORDER BY studies.study, studies.place, measured.task, measured.metric;
