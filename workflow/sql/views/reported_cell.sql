-- The number of neighbours and of labels that the report shows: one row. Join it with USING (k, labels).
SELECT
    (SELECT value::INTEGER FROM config WHERE key = 'report.k') AS k,
    (SELECT trim(value, '"') FROM config WHERE key = 'report.labels') AS labels;
