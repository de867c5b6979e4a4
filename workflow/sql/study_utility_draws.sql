-- The bootstrap draws of the utility of every study's points, mean over the sides; `recall@10` is as in
-- study_utility.sql. Draw i of retrieval is the same resample for all models of all splits with the same holdout; draw
-- i of a benchmark is the same resample for all models.
WITH drawn AS (
    SELECT model, epoch, side, task, metric, draw, value::DOUBLE AS value FROM utility_draws
    UNION ALL
    SELECT model, epoch, side, task, 'recall@10', draw, avg(value::DOUBLE)
    FROM utility_draws
    WHERE task = 'retrieval' AND metric LIKE '%\_recall@10' ESCAPE '\'
    GROUP BY model, epoch, side, task, draw
),
means AS (
    SELECT studies.study, studies.place, drawn.task, drawn.metric, drawn.draw, avg(drawn.value) AS value
    FROM studies
    JOIN drawn ON drawn.model = studies.model AND drawn.epoch = studies.epoch
    GROUP BY ALL
)
SELECT study, place, task, metric, list(value ORDER BY draw) AS drawn
FROM means
GROUP BY study, place, task, metric
ORDER BY study, place, task, metric;
