-- The share of the queries whose recall is at least r, under each side, for the reported k and label count, scope
-- `all`.
SELECT recall_curves.model, reference, population, recall_curves.side, recall, share_at_least
FROM recall_curves
JOIN reference_sides ON reference_sides.model = recall_curves.model
JOIN reported_cell USING (k, labels)
JOIN last_epochs ON last_epochs.model = recall_curves.model AND last_epochs.epoch = recall_curves.epoch
WHERE scope = 'all' AND query = 'caption'
ORDER BY recall_curves.model, population, recall_curves.side, recall;
