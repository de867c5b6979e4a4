-- The roles that a list gives, with the number of listed uids that the dataset lacks.
SELECT role, samples, listed, missing FROM roles WHERE listed IS NOT NULL ORDER BY role;
