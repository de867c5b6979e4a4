-- The roles that a list declares, with what of it the dataset lacks.
SELECT role, samples, listed, missing FROM roles WHERE listed IS NOT NULL ORDER BY role;
