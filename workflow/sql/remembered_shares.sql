-- How many training samples are remembered, at least, and how many can be named, at the last epoch.
SELECT found.*
FROM remembered_shares AS found
JOIN last_epochs USING (model, epoch)
ORDER BY found.model, found.statistic, list_position(['caption', 'masked', 'remainder', 'rare'], found.query);
