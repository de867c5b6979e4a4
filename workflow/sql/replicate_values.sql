-- Every replicate's symmetric gap with its resamples, by draw, in the order of the report.
SELECT
    found.model,
    found.query,
    found.scope,
    found.metric,
    found.replicate,
    found.value,
    list(draws.value ORDER BY draws.draw) AS draws
FROM replicates AS found
JOIN metrics USING (metric)
JOIN replicate_draws AS draws USING (model, epoch, replicate, query, k, labels, scope, metric)
WHERE found.population = 'symmetric'
GROUP BY ALL
ORDER BY
    found.model,
    list_position(['caption', 'masked', 'remainder', 'rare'], found.query),
    found.scope,
    any_value(metrics.place),
    found.replicate;
