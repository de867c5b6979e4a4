-- What a plan of a larger run rests on: of every model at its last epoch, asked with captions, the gap, the number of
-- groups, the gap that the joint test detects in 80 % of runs, and, where there are replicates, the noise between and
-- within them. Cells without a joint test are left out.
SELECT
    gaps.model,
    gaps.epoch,
    gaps.scope,
    gaps.metric,
    gaps.value,
    gaps.groups,
    gaps.detectable,
    recipe.replicates,
    recipe.mean,
    recipe.between,
    recipe.within
FROM gaps_with_controls AS gaps
LEFT JOIN (SELECT * FROM recipe_intervals WHERE population = 'symmetric') AS recipe
    USING (model, epoch, query, k, labels, scope, metric)
WHERE gaps.is_reported
  AND gaps.is_last
  AND gaps.query = 'caption'
  AND gaps.detectable IS NOT NULL
ORDER BY gaps.model, gaps.metric_place, gaps.scope;
