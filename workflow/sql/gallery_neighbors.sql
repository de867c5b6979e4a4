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
JOIN last_epochs ON last_epochs.model = neighbors.model AND last_epochs.epoch = neighbors.epoch
WHERE neighbors.rank <= (SELECT k FROM reported_cell) AND neighbors.query = 'caption'
ORDER BY neighbors.model, neighbors.row, neighbors.side, neighbors.rank;
