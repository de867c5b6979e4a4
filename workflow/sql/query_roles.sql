-- The query roles, whose captions models are asked with: their dataset, and whether a list gives them.
SELECT role, dataset, listed IS NOT NULL AS is_listed FROM roles WHERE role <> 'public' ORDER BY role;
