-- The noise of training itself, which no interval on one pair of models contains: how far the gap and its control spread
-- over the seeds of a study, at the reported k and label count.
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
