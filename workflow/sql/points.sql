-- Every model at every measured checkpoint: the symmetric gap in scope `all` with its own 95 % interval (not a band),
-- its control, and recall@10 of holdout retrieval where it was measured.
WITH useful AS (
    SELECT model, epoch, avg(value) AS recall_at_10
    FROM utility
    WHERE task = 'retrieval' AND metric LIKE '%recall@10'
    GROUP BY model, epoch
)
SELECT
    gaps.model,
    gaps.epoch,
    gaps.metric,
    gaps.value AS gap,
    gaps.ci_low,
    gaps.ci_high,
    gaps.control_value,
    gaps.control_low,
    gaps.control_high,
    useful.recall_at_10
FROM gaps_with_controls AS gaps
LEFT JOIN useful USING (model, epoch)
WHERE gaps.is_reported AND gaps.scope = 'all' AND gaps.query = 'caption'
ORDER BY gaps.model, gaps.epoch, gaps.metric_place;
