-- Every model at its last epoch, with what its side b is.
SELECT model, epoch, reference, is_one_model, control_population
FROM last_epochs
JOIN reference_sides USING (model)
ORDER BY model;
