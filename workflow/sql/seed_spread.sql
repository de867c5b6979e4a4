-- The noise of training, which no interval of one pair of models covers: mean and standard deviation of the gap and of
-- its control over the seeds of a study, at the reported k and label count.
SELECT
    studies.study,
    gaps.query,
    gaps.scope,
    gaps.metric,
    count(*) AS seeds,
    avg(gaps.value) AS mean,
    stddev_samp(gaps.value) AS spread,
    avg(gaps.control_value) AS control_mean,
    stddev_samp(gaps.control_value) AS control_spread
FROM studies
JOIN gaps_with_controls AS gaps USING (model, epoch)
WHERE studies.axis = 'seed' AND gaps.is_reported
GROUP BY studies.study, gaps.query, gaps.scope, gaps.metric, gaps.metric_place
ORDER BY studies.study, gaps.query, gaps.scope, gaps.metric_place;
