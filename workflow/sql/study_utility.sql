-- The utility of the model of every study's points: the mean over the sides, and the worse and the better side. The
-- metric `recall@10` is the mean over both directions of retrieval. The 95 % intervals come from
-- study_utility_draws.sql.
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
    -- Ends of the interval of a metric whose draws do not vary, see utility.sql.
    avg(measured.ci_low) AS exact_low,
    avg(measured.ci_high) AS exact_high
FROM studies
JOIN measured ON measured.model = studies.model AND measured.epoch = studies.epoch
GROUP BY studies.study, studies.place, studies.value, studies.model, studies.epoch, measured.task, measured.metric
ORDER BY studies.study, studies.place, measured.task, measured.metric;
