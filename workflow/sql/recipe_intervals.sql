-- What each recipe does over its trainings, beside the same gap on the holdout.
SELECT found.*, control.mean AS control_mean, control.low AS control_low, control.high AS control_high
FROM recipe_intervals AS found
JOIN metrics USING (metric)
JOIN recipe_intervals AS control USING (model, epoch, query, k, labels, scope, metric)
WHERE found.population = 'symmetric' AND control.population = 'holdout' AND metrics.is_tested
ORDER BY found.model, list_position(['caption', 'masked', 'remainder', 'rare'], found.query), found.scope, metrics.place;
