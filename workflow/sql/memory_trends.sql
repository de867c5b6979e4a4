-- Whether the gap changes along what training samples are like, of every model at its last epoch.
SELECT trends.*
FROM memory_trends AS trends
JOIN last_epochs USING (model, epoch)
ORDER BY
    trends.model,
    list_position(['recall', 'unnamed recall', 'pair cosine'], trends.statistic),
    list_position(['copies', 'rarest object', 'caption words', 'nearest public'], trends.source);
