-- How the gaps of single samples spread, in training samples and in the holdout, at the last epoch. The gap is the
-- number of correct objects under a side minus that under the other side, asked with the caption. The side of a training
-- sample is the one that was trained on it; a holdout sample counts half for each side, and in a one-model test for the
-- model alone.
WITH gaps AS (
    SELECT
        sample_scores.model,
        population = 'holdout' AS is_control,
        unnest(CASE WHEN population = 'holdout' THEN ['a', 'b'] ELSE [population] END) AS side,
        correct_a - correct_b AS difference,
        reference.is_one_model
    FROM sample_scores
    JOIN reference_sides AS reference ON reference.model = sample_scores.model
    JOIN reported_cell USING (k, labels)
    JOIN last_epochs ON last_epochs.model = sample_scores.model AND last_epochs.epoch = sample_scores.epoch
    WHERE population IN ('a', 'b', 'holdout') AND query = 'caption' AND scope = 'all'
),
numbers AS (
    SELECT model, is_control, CASE side WHEN 'a' THEN difference ELSE -difference END AS gap, count(*) AS number
    FROM gaps
    WHERE side = 'a' OR NOT is_one_model
    GROUP BY ALL
)
SELECT
    model,
    gap,
    -- 0 where there are no samples at all
    coalesce(sum(number) FILTER (NOT is_control) / any_value(all_trained), 0) AS trained,
    coalesce(sum(number) FILTER (is_control) / any_value(all_control), 0) AS holdout
FROM numbers
JOIN (
    SELECT model, sum(number) FILTER (NOT is_control) AS all_trained, sum(number) FILTER (is_control) AS all_control
    FROM numbers
    GROUP BY model
) AS totals USING (model)
GROUP BY model, gap
ORDER BY model, gap;
