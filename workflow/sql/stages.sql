-- The rows that each stage read, wrote and dropped, and the stage's cost.
SELECT
    stage,
    count(*) AS subjects,
    sum(rows_in) AS rows_in,
    sum(rows_out) AS rows_out,
    -- The number of dropped rows by reason, over all subjects of the stage.
    (
        SELECT list({'reason': reason, 'count': total} ORDER BY total DESC, reason)
        FROM (
            SELECT entry.key AS reason, sum(entry.value) AS total
            FROM (
                SELECT unnest(map_entries(inner_stages.dropped)) AS entry
                FROM stages AS inner_stages
                WHERE inner_stages.stage = stages.stage
            ) AS entries
            GROUP BY entry.key
        ) AS totals
    ) AS dropped,
    sum(seconds) AS seconds,
    max(peak_memory_mb) AS peak_memory_mb
FROM stages
GROUP BY stage
-- The table `stages` is in the order of the workflow.
ORDER BY min(rowid);
