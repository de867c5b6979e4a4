-- The training samples that are listed as remembered, at the last epoch: the 20 largest advantages of each statistic.
WITH ranked AS (
    SELECT
        memorized.*,
        row_number() OVER (
            PARTITION BY memorized.model, memorized.epoch, memorized.statistic, memorized.query
            ORDER BY memorized.advantage DESC, memorized.row
        ) AS place
    FROM sample_memorization AS memorized
    JOIN last_epochs USING (model, epoch)
    JOIN remembered_shares AS shares USING (model, epoch, statistic, query)
    WHERE memorized.q_value <= shares.rate
)
SELECT ranked.*, samples.uid, samples.caption
FROM ranked
JOIN samples ON samples.row = ranked.row AND samples.role = ranked.population
WHERE ranked.place <= 20
ORDER BY ranked.model, ranked.statistic, ranked.query, ranked.place;
