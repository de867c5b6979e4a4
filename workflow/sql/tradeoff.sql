-- Memorization against utility, one row per model:
-- * the symmetric PPG in scope `all` of the query with the largest PPG, with its band and its control;
-- * recall@10 of holdout retrieval, mean over sides and directions of retrieval, with its 95 % interval;
-- * the difference of this recall from that of the model it is compared with, on the sides that both models have;
-- * the draws of PPG and recall, from which the shares on the Pareto front are computed.
-- Draw i is the same resample of the holdout for all models and sides, so differences are taken draw by draw.
WITH recall AS (
    SELECT model, epoch, side, metric, value
    FROM utility
    WHERE task = 'retrieval'
      AND metric LIKE '%recall@10'
      AND epoch = (SELECT max(epoch) FROM utility AS same WHERE same.model = utility.model)
),
recall_draws AS (
    SELECT model, epoch, side, metric, draw, value::DOUBLE AS value
    FROM utility_draws SEMI JOIN recall USING (model, epoch, side, metric)
    WHERE task = 'retrieval'
),
useful AS (
    SELECT model, epoch, avg(value ORDER BY side, metric) AS recall_at_10
    FROM recall
    GROUP BY ALL
),
means AS (
    -- A fixed order of summation: threads that add in any order would change the last bits.
    SELECT model, epoch, draw, avg(value ORDER BY side, metric) AS drawn
    FROM recall_draws
    GROUP BY ALL
),
useful_draws AS (
    SELECT
        model,
        epoch,
        quantile_cont(drawn, 0.025) AS recall_low,
        quantile_cont(drawn, 0.975) AS recall_high,
        list(drawn ORDER BY draw) AS drawn_recall
    FROM means
    GROUP BY ALL
),
compared AS (
    SELECT substr(key, length('compared_with.') + 1) AS model, trim(value, '"') AS compared_with
    FROM config
    WHERE starts_with(key, 'compared_with.')
),
changes AS (
    SELECT
        own.model,
        compared_with,
        avg(own.value ORDER BY side, metric) AS common_recall,
        avg(other.value ORDER BY side, metric) AS other_recall
    FROM recall AS own
    JOIN compared USING (model)
    JOIN recall AS other USING (side, metric)
    WHERE other.model = compared_with
    GROUP BY ALL
),
pairs AS (
    SELECT
        own.model,
        draw,
        avg(own.value ORDER BY side, metric) AS common_drawn,
        avg(other.value ORDER BY side, metric) AS other_drawn
    FROM recall_draws AS own
    JOIN compared USING (model)
    JOIN recall_draws AS other USING (side, metric, draw)
    WHERE other.model = compared_with
    GROUP BY ALL
),
change_draws AS (
    SELECT
        model,
        quantile_cont(common_drawn - other_drawn, 0.025) AS change_low,
        quantile_cont(common_drawn - other_drawn, 0.975) AS change_high,
        quantile_cont(common_drawn / nullif(other_drawn, 0) - 1, 0.025) AS relative_low,
        quantile_cont(common_drawn / nullif(other_drawn, 0) - 1, 0.975) AS relative_high
    FROM pairs
    GROUP BY ALL
    -- Where all draws are equal, the uncertainty of the difference is unknown, so there is no interval.
    HAVING max(common_drawn - other_drawn) > min(common_drawn - other_drawn)
),
largest AS (
    -- Each draw chooses the query with the largest PPG anew, as the estimate does.
    SELECT model, epoch, k, labels, scope, metric, draw, max(value::DOUBLE) AS drawn
    FROM bootstrap_draws
    WHERE population = 'symmetric' AND metric = 'ppg' AND scope = 'all'
    GROUP BY ALL
),
gap_draws AS (
    SELECT model, epoch, k, labels, scope, metric, list(drawn ORDER BY draw) AS drawn_gap
    FROM largest
    GROUP BY ALL
)
SELECT
    gaps.model,
    gaps.epoch,
    gaps.reference,
    gaps.query,
    gaps.value AS gap,
    gaps.band_low,
    gaps.band_high,
    gaps.control_value,
    gaps.control_band_low AS control_low,
    gaps.control_band_high AS control_high,
    useful.recall_at_10,
    useful_draws.recall_low,
    useful_draws.recall_high,
    changes.compared_with,
    changes.common_recall,
    changes.other_recall,
    changes.common_recall - changes.other_recall AS change,
    change_draws.change_low,
    change_draws.change_high,
    change_draws.relative_low,
    change_draws.relative_high,
    gap_draws.drawn_gap,
    useful_draws.drawn_recall
FROM gaps_with_controls AS gaps
JOIN gap_draws USING (model, epoch, k, labels, scope, metric)
JOIN useful USING (model, epoch)
LEFT JOIN useful_draws USING (model, epoch)
LEFT JOIN changes ON changes.model = gaps.model
LEFT JOIN change_draws ON change_draws.model = gaps.model
WHERE gaps.is_reported
  AND gaps.is_last
  AND gaps.metric = 'ppg'
  AND gaps.scope = 'all'
  AND gaps.value IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY gaps.model ORDER BY gaps.value DESC, gaps.query) = 1
ORDER BY gaps.model;
