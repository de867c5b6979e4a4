-- What the models of every study's points are good for: mean over the two sides, and both sides.
SELECT
    studies.study,
    studies.place,
    studies.value,
    studies.model,
    studies.epoch,
    utility.task,
    utility.metric,
    avg(utility.value) AS utility,
    min(utility.value) AS worse_side,
    max(utility.value) AS better_side
FROM studies
JOIN utility ON utility.model = studies.model AND utility.epoch = studies.epoch
GROUP BY studies.study, studies.place, studies.value, studies.model, studies.epoch, utility.task, utility.metric
ORDER BY studies.study, studies.place, utility.task, utility.metric;
