-- The number of gaps of each model in the joint test, over all queries, k, label counts, scopes and metrics.
SELECT model, count(p_joint) AS cells
FROM population_gaps
JOIN last_epochs USING (model, epoch)
WHERE population = 'symmetric'
GROUP BY model
ORDER BY model;
