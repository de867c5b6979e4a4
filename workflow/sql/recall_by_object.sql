-- How often each object in an image is among the objects of the k nearest public images, asked with the caption, at the
-- last epoch. All objects of these k images count, however many labels the reported cell predicts. `own` is the model
-- that was trained on the sample, `other` is the other model. The holdout shows what a model finds of images that it
-- never saw: the mean of both models, or in a one-model test the one model. The interval is of own minus other, over
-- duplicate groups, for one object alone.
WITH nearest AS (
    SELECT
        neighbors.model,
        population,
        is_one_model,
        neighbors.row,
        flatten(list(samples.objects) FILTER (side = 'a')) AS found_a,
        flatten(list(samples.objects) FILTER (side = 'b')) AS found_b
    FROM neighbors
    JOIN reference_sides USING (model)
    JOIN last_epochs USING (model, epoch)
    JOIN samples ON samples.row = neighbors.public_row AND samples.role = 'public'
    WHERE rank <= (SELECT k FROM reported_cell) AND query = 'caption' AND population IN ('a', 'b', 'holdout')
    GROUP BY ALL
),
present AS (
    SELECT model, population, is_one_model, group_id, found_a, found_b, unnest(objects) AS object
    FROM nearest
    JOIN samples ON samples.row = nearest.row AND samples.role = nearest.population
),
judged AS (
    SELECT
        * EXCLUDE (found_a, found_b),
        coalesce(list_contains(found_a, object), false)::INTEGER AS by_a,
        coalesce(list_contains(found_b, object), false)::INTEGER AS by_b
    FROM present
),
grouped AS (
    SELECT
        model,
        object,
        group_id,
        population = 'a' OR (population = 'b' AND NOT is_one_model) AS is_trained,
        count(*) AS number,
        sum(CASE WHEN population = 'b' AND NOT is_one_model THEN by_b ELSE by_a END) AS own,
        sum(CASE WHEN population = 'b' AND NOT is_one_model THEN by_a ELSE by_b END) AS other,
        sum(CASE WHEN is_one_model THEN by_a ELSE (by_a + by_b) / 2 END) AS either
    FROM judged
    WHERE population <> 'b' OR NOT is_one_model
    GROUP BY ALL
),
trained AS (
    SELECT
        model,
        object,
        sum(number) AS number,
        sum(own) / sum(number) AS own,
        sum(other) / sum(number) AS other,
        count(*) AS groups
    FROM grouped
    WHERE is_trained
    GROUP BY model, object
),
errors AS (
    SELECT
        model,
        object,
        -- a fixed order of summation: threads that add in any order would change the last bits
        sqrt(
            sum((grouped.own - grouped.other - grouped.number * (trained.own - trained.other)) ** 2 ORDER BY group_id)
            * any_value(groups) / nullif(any_value(groups) - 1, 0)
        ) / any_value(trained.number) AS std_error
    FROM grouped
    JOIN trained USING (model, object)
    WHERE is_trained
    GROUP BY model, object
),
holdout AS (
    SELECT model, object, sum(number) AS holdout_number, sum(either) / sum(number) AS holdout
    FROM grouped
    WHERE NOT is_trained
    GROUP BY model, object
)
SELECT
    model,
    object,
    trained.number::BIGINT AS number,
    own,
    other,
    own - other AS gap,
    own - other - 1.96 * std_error AS gap_low,
    own - other + 1.96 * std_error AS gap_high,
    holdout_number::BIGINT AS holdout_number,
    holdout
FROM trained
JOIN errors USING (model, object)
LEFT JOIN holdout USING (model, object)
ORDER BY model, trained.number DESC, object;
