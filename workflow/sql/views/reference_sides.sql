-- What side b of every model is. A side b without images is no equal of side a: then the model is in a one-model test, and
-- its control compares two roles that it has not seen. Join it with USING (model).
SELECT
    model,
    kind AS reference,
    NOT has_images AS is_one_model,
    CASE WHEN has_images THEN 'holdout' ELSE 'unseen' END AS control_population
FROM sides
WHERE side = 'b';
