-- One row: the number of neighbours and of labels that the report shows. Join this view with USING (k, labels).
SELECT
    (SELECT value::INTEGER FROM config WHERE key = 'report.k') AS k,
    (SELECT trim(value, '"') FROM config WHERE key = 'report.labels') AS labels;
