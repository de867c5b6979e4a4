-- How many training samples have at least a gap, and how many would have it by luck, for every model and gap. Gaps are
-- those of the gallery. Luck is what the holdout shows, which no side was trained on: the share of the holdout with at
-- least the gap in favour of a side, times the number of training samples of that side.
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
    WHERE population IN ('a', 'b', 'holdout') AND query = 'caption' AND scope = 'unnamed'
),
numbers AS (
    SELECT model, is_control, side, CASE side WHEN 'a' THEN difference ELSE -difference END AS gap, count(*) AS number
    FROM gaps
    WHERE side = 'a' OR NOT is_one_model
    GROUP BY ALL
),
thresholds AS (SELECT DISTINCT model, gap AS threshold FROM numbers WHERE gap > 0 AND NOT is_control),
reached AS (
    SELECT
        model,
        threshold,
        is_control,
        side,
        coalesce(sum(number) FILTER (gap >= threshold), 0) AS number,
        sum(number) AS total
    FROM numbers
    JOIN thresholds USING (model)
    GROUP BY ALL
)
SELECT
    trained.model,
    trained.threshold AS gap,
    sum(trained.number)::BIGINT AS samples,
    sum(trained.total)::BIGINT AS of_samples,
    sum(trained.total * control.number / control.total ORDER BY trained.side) AS by_luck,
    least(1, by_luck / samples) AS luck
FROM reached AS trained
JOIN reached AS control USING (model, threshold, side)
WHERE NOT trained.is_control AND control.is_control
GROUP BY ALL
ORDER BY model, gap DESC;
