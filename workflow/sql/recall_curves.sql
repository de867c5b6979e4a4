-- Share of the queries whose recall is at least r, under either side, for the reported k and label count, all objects.
SELECT model, population, side, recall, share_at_least
FROM recall_curves
WHERE scope = 'all'
  AND k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
  AND epoch = (SELECT max(epoch) FROM recall_curves AS same WHERE same.model = recall_curves.model)
ORDER BY model, population, side, recall;
