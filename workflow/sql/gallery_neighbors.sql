-- The nearest public images of the captions in the table `gallery_rows` (model, row), under both sides.
SELECT
    neighbors.model,
    neighbors.row,
    neighbors.side,
    neighbors.rank,
    neighbors.public_row,
    neighbors.similarity,
    samples.caption,
    samples.objects
FROM neighbors
JOIN gallery_rows USING (model, row)
JOIN samples ON samples.row = neighbors.public_row AND samples.role = 'public'
WHERE neighbors.rank <= (SELECT value::INTEGER FROM config WHERE key = 'report.k')
  AND neighbors.query = 'caption'
  AND epoch = (SELECT max(epoch) FROM neighbors AS same WHERE same.model = neighbors.model)
ORDER BY neighbors.model, neighbors.row, neighbors.side, neighbors.rank;
