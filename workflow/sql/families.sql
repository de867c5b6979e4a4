-- How many gaps of every model are tested jointly, over all queries, k, label counts, scopes and metrics.
SELECT model, count(p_joint) AS cells
FROM population_gaps
JOIN last_epochs USING (model, epoch)
WHERE population = 'symmetric'
GROUP BY model
ORDER BY model;
