-- The last epoch at which each model was measured. Join it with USING (model, epoch).
SELECT model, max(epoch) AS epoch
FROM population_gaps
GROUP BY model;
