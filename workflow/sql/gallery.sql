-- The samples of the gallery, for every model: the training samples with the largest gaps, and as their control the
-- samples of the holdout with the largest gaps. The gap is the number of correct objects that the caption does not
-- name, under the side in the column `side` minus the number under the other side; the gap over all objects, then the
-- row, breaks ties. The side of a training sample is the one that was trained on it; that of a holdout sample is the one
-- with the larger number. In a one-model test only side a is a model.
WITH candidates AS (
    SELECT
        sample_scores.model,
        sample_scores.epoch,
        population,
        k,
        labels,
        row,
        scope,
        reference.is_one_model,
        unnest(CASE WHEN population = 'holdout' THEN ['a', 'b'] ELSE [population] END) AS side,
        correct_a,
        correct_b
    FROM sample_scores
    JOIN reference_sides AS reference ON reference.model = sample_scores.model
    JOIN reported_cell USING (k, labels)
    JOIN last_epochs ON last_epochs.model = sample_scores.model AND last_epochs.epoch = sample_scores.epoch
    WHERE population IN ('a', 'b', 'holdout') AND query = 'caption'
),
gaps AS (
    SELECT *, CASE side WHEN 'a' THEN correct_a - correct_b ELSE correct_b - correct_a END AS gap
    FROM candidates
    WHERE side = 'a' OR NOT is_one_model
),
ranked AS (
    SELECT
        unnamed.*,
        over_all.gap AS gap_all,
        row_number() OVER (
            PARTITION BY unnamed.model, unnamed.population = 'holdout'
            ORDER BY unnamed.gap DESC, over_all.gap DESC, unnamed.row, unnamed.side
        ) AS place
    FROM gaps AS unnamed
    JOIN gaps AS over_all USING (model, epoch, population, k, labels, row, side)
    WHERE unnamed.scope = 'unnamed' AND over_all.scope = 'all'
)
SELECT ranked.model, ranked.place, ranked.population, ranked.side, ranked.row, ranked.gap, ranked.gap_all,
    ranked.is_one_model, samples.uid, samples.caption, samples.objects, samples.unnamed
FROM ranked
JOIN samples USING (row)
WHERE samples.role = ranked.population
  -- Some samples of the holdout are enough to see what luck looks like.
  AND ranked.place <= (
      SELECT CASE WHEN ranked.population = 'holdout' THEN least(value::INTEGER, 24) ELSE value::INTEGER END
      FROM config
      WHERE key = 'report.gallery'
  )
ORDER BY ranked.model, ranked.population = 'holdout', ranked.place;
