-- The most memorized training samples of every model. They have the largest gap in the number of correct objects that
-- the caption does not name, in favour of the side that was trained on the sample; the gap over all objects, then the
-- row, breaks ties.
WITH candidates AS (
    SELECT
        sample_scores.model,
        sample_scores.epoch,
        population,
        k,
        labels,
        row,
        scope,
        CASE population WHEN 'a' THEN correct_a - correct_b ELSE correct_b - correct_a END AS gap
    FROM sample_scores
    JOIN reference_sides AS reference ON reference.model = sample_scores.model
    JOIN reported_cell USING (k, labels)
    JOIN last_epochs ON last_epochs.model = sample_scores.model AND last_epochs.epoch = sample_scores.epoch
    -- A one-model test has no model that was not trained on the sample, so it shows no single samples.
    WHERE population IN ('a', 'b') AND query = 'caption' AND NOT reference.is_one_model
),
ranked AS (
    SELECT
        unnamed.*,
        over_all.gap AS gap_all,
        row_number() OVER (
            PARTITION BY unnamed.model
            ORDER BY unnamed.gap DESC, over_all.gap DESC, unnamed.row
        ) AS place
    FROM candidates AS unnamed
    JOIN candidates AS over_all USING (model, epoch, population, k, labels, row)
    WHERE unnamed.scope = 'unnamed' AND over_all.scope = 'all'
)
SELECT ranked.model, ranked.place, ranked.population, ranked.row, ranked.gap, samples.uid, samples.caption,
    samples.objects, samples.unnamed
FROM ranked
JOIN samples USING (row)
WHERE samples.role = ranked.population
  AND ranked.place <= (SELECT value::INTEGER FROM config WHERE key = 'report.gallery')
ORDER BY ranked.model, ranked.place;
