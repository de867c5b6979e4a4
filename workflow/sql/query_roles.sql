-- The query roles, whose captions models are asked with: their dataset, and whether a list gives them.
SELECT role, dataset, listed IS NOT NULL AS is_listed FROM roles WHERE role IN ('a', 'b', 'holdout') ORDER BY role;
