-- Share of the queries whose recall is at least r, under either side, for the reported k and label count, all objects.
SELECT recall_curves.model, reference.kind AS reference, population, recall_curves.side, recall, share_at_least
FROM recall_curves
JOIN sides AS reference ON reference.model = recall_curves.model AND reference.side = 'b'
WHERE scope = 'all'
  AND query = 'caption'
  AND k = (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND labels = (SELECT trim(value, '"') FROM config WHERE key = 'report.labels')
  AND epoch = (SELECT max(epoch) FROM recall_curves AS same WHERE same.model = recall_curves.model)
ORDER BY recall_curves.model, population, recall_curves.side, recall;
