-- Lower bounds on the share of training samples that are remembered, and the number of listed samples, at the last
-- epoch.
SELECT shares.*
FROM remembered_shares AS shares
JOIN last_epochs USING (model, epoch)
ORDER BY shares.model, shares.statistic, list_position(['caption', 'masked', 'remainder', 'rare'], shares.query);
