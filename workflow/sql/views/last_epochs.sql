-- The last measured epoch of each model. Join this view with USING (model, epoch).
SELECT model, max(epoch) AS epoch
FROM population_gaps
GROUP BY model;
