-- The roles whose captions are asked with, where their samples come from, and whether a list names them.
SELECT role, dataset, listed IS NOT NULL AS is_listed FROM roles WHERE role <> 'public' ORDER BY role;
