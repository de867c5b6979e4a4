-- How many gaps of every model are tested jointly, over all queries, k, label counts, scopes and metrics.
SELECT model, count(p_joint) AS cells
FROM population_gaps
WHERE population = 'symmetric'
  AND epoch = (SELECT max(epoch) FROM population_gaps AS same WHERE same.model = population_gaps.model)
GROUP BY model
ORDER BY model;
