-- Whether the samples that the first half of the replicates lists stand out in the other half, too.
SELECT found.*
FROM confirmations AS found
WHERE found.listed > 0
ORDER BY found.model, found.statistic, list_position(['caption', 'masked', 'remainder', 'rare'], found.query);
