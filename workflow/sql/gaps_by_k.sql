-- How the symmetric gaps and their nulls depend on the number of neighbours, all labels, all objects.
SELECT model, population, k, metric, value, ci_low, ci_high
FROM population_gaps
WHERE population IN ('symmetric', 'holdout')
  AND metric IN ('ppg', 'prg', 'aucg')
  AND scope = 'all'
  AND labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
  AND epoch = (SELECT max(epoch) FROM population_gaps AS same WHERE same.model = population_gaps.model)
ORDER BY metric, model, population, k;
