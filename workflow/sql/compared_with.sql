-- The model that each model is compared with.
SELECT substr(key, length('compared_with.') + 1) AS model, trim(value, '"') AS compared_with
FROM config
WHERE starts_with(key, 'compared_with.')
ORDER BY model;
