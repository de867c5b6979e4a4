-- The evidence for single samples at the last epoch: for every model, statistic and query the 200 training samples with
-- the largest advantages, and whether they are listed as remembered. The table sample_memorization has all samples.
WITH ranked AS (
    SELECT
        memorized.*,
        memorized.q_value <= shares.rate AS is_listed,
        row_number() OVER (
            PARTITION BY memorized.model, memorized.statistic, memorized.query
            ORDER BY memorized.advantage DESC, memorized.row
        ) AS place
    FROM sample_memorization AS memorized
    JOIN last_epochs USING (model, epoch)
    JOIN remembered_shares AS shares USING (model, epoch, statistic, query)
)
SELECT ranked.*, samples.uid, samples.caption
FROM ranked
JOIN samples ON samples.row = ranked.row AND samples.role = ranked.population
WHERE ranked.place <= 200
ORDER BY ranked.model, ranked.statistic, ranked.query, ranked.place;
