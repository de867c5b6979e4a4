-- The training samples that can be named as remembered, at the last epoch: the largest advantages of each statistic.
WITH ranked AS (
    SELECT
        found.*,
        row_number() OVER (
            PARTITION BY found.model, found.epoch, found.statistic, found.query
            ORDER BY found.advantage DESC, found.row
        ) AS place
    FROM sample_memorization AS found
    JOIN last_epochs USING (model, epoch)
    JOIN remembered_shares AS shares USING (model, epoch, statistic, query)
    WHERE found.q_value <= shares.rate
)
SELECT ranked.*, samples.uid, samples.caption
FROM ranked
JOIN samples ON samples.row = ranked.row AND samples.role = ranked.population
WHERE ranked.place <= 20
ORDER BY ranked.model, ranked.statistic, ranked.query, ranked.place;
