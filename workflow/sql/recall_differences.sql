-- By how much more of the queries one model reaches a recall than the other model: asked with the caption, scope `all`,
-- the reported k and label count, the last epoch. In the training samples it is the model that saw them minus the
-- other; in the holdout, and in role b of a one-model test, it is model a minus model b. The ten bands of a line hold at
-- once with 95 % confidence: 2.807 is the normal quantile for 0.05 / 10, both sides (Bonferroni), and the standard
-- error is over duplicate groups.
WITH reached AS (
    SELECT
        sample_scores.model,
        population,
        population = 'b' AND NOT is_one_model AS is_swapped,
        group_id,
        point / 10 AS recall,
        (recall_a >= point / 10 - 1e-9)::INTEGER - (recall_b >= point / 10 - 1e-9)::INTEGER AS difference
    FROM sample_scores
    JOIN reference_sides ON reference_sides.model = sample_scores.model
    JOIN reported_cell USING (k, labels)
    JOIN last_epochs ON last_epochs.model = sample_scores.model AND last_epochs.epoch = sample_scores.epoch
    JOIN samples ON samples.row = sample_scores.row AND samples.role = population
    CROSS JOIN range(1, 11) AS points (point)
    -- a sample without objects has no recall
    WHERE scope = 'all'
      AND query = 'caption'
      AND population IN ('a', 'b', 'holdout')
      AND recall_a IS NOT NULL
      AND recall_b IS NOT NULL
),
grouped AS (
    SELECT
        model,
        population,
        recall,
        group_id,
        count(*) AS number,
        sum(CASE WHEN is_swapped THEN -difference ELSE difference END) AS total
    FROM reached
    GROUP BY ALL
),
means AS (
    SELECT model, population, recall, sum(number) AS n, sum(total) / sum(number) AS difference, count(*) AS groups
    FROM grouped
    GROUP BY model, population, recall
),
errors AS (
    SELECT
        model,
        population,
        recall,
        -- a fixed order of summation: threads that add in any order would change the last bits
        sqrt(
            sum((total - number * difference) ** 2 ORDER BY group_id) * any_value(groups)
            / nullif(any_value(groups) - 1, 0)
        ) / any_value(n) AS std_error
    FROM grouped
    JOIN means USING (model, population, recall)
    GROUP BY model, population, recall
)
SELECT
    model,
    population,
    recall,
    difference,
    difference - 2.807 * std_error AS band_low,
    difference + 2.807 * std_error AS band_high,
    n::BIGINT AS n
FROM means
JOIN errors USING (model, population, recall)
ORDER BY model, population, recall;
