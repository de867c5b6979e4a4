-- The evidence for the samples in the table `gallery_rows` (model, row), by statistic and query, at the last epoch.
SELECT model, row, statistic, query, advantage, std_error, p_value, q_value, q_value <= shares.rate AS is_listed
FROM sample_memorization
JOIN gallery_rows USING (model, row)
JOIN last_epochs USING (model, epoch)
JOIN remembered_shares AS shares USING (model, epoch, statistic, query)
ORDER BY ALL;
