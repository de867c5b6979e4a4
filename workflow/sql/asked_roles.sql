-- The roles of which only some samples are asked about, because they have more than measure.query_limit.
SELECT role, samples, asked FROM roles WHERE asked < samples ORDER BY role;
