-- The models of one-model tests.
SELECT model FROM reference_sides WHERE is_one_model ORDER BY model;
