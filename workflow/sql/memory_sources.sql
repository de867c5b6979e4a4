-- The gap by what training samples are like, beside the same bins of the holdout, of every model at its last epoch.
SELECT sources.*
FROM memory_sources AS sources
JOIN last_epochs USING (model, epoch)
ORDER BY
    sources.model,
    list_position(['recall', 'unnamed recall', 'pair cosine'], sources.statistic),
    list_position(['copies', 'rarest object', 'caption words', 'nearest public'], sources.source),
    sources.bin;
