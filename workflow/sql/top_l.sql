-- Gaps of the first L queries in each order, for the reported k and label count, scope `all`, at the last epoch.
-- Choosing queries selects noise as well. The control shows the effect of the choice alone: queries of the holdout,
-- chosen in the same way.
SELECT
    top_l.model,
    sort,
    unit,
    l,
    CASE WHEN population IN ('holdout', 'holdout_symmetric') THEN 'control' ELSE 'gap' END AS shown_as,
    population,
    precision_gap,
    recall_gap,
    recall_gap_low,
    recall_gap_high,
    f1_gap,
    mean_f1_gap
FROM top_l
JOIN reference_sides AS reference ON reference.model = top_l.model
JOIN reported_cell USING (k, labels)
JOIN last_epochs ON last_epochs.model = top_l.model AND last_epochs.epoch = top_l.epoch
WHERE scope = 'all'
  AND query = 'caption'
  AND list_contains(
      CASE WHEN reference.is_one_model THEN ['a', 'holdout'] ELSE ['symmetric', 'holdout_symmetric'] END,
      population
  )
ORDER BY top_l.model, list_position(['nearest', 'correct', 'gap'], sort), unit, l, shown_as;
