-- Every point of a study that was measured in this split: the symmetric gap of the reported k and label count with its
-- own 95 % interval (not a band), and its control.
SELECT
    studies.study,
    studies.place,
    studies.value,
    studies.model,
    studies.epoch,
    gaps.query,
    gaps.scope,
    gaps.metric,
    gaps.value AS gap,
    gaps.ci_low,
    gaps.ci_high,
    gaps.p_value,
    gaps.n,
    gaps.control_value,
    gaps.control_low,
    gaps.control_high
FROM studies
JOIN gaps_with_controls AS gaps USING (model, epoch)
WHERE gaps.is_reported
ORDER BY studies.study, studies.place, gaps.query, gaps.scope, gaps.metric_place;
