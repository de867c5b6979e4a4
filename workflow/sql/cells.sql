-- The symmetric PPG over all objects with its control, for every query, k and number of labels, at the last epoch.
SELECT model, query, k, labels, value, ci_low, ci_high, control_value, control_low, control_high, n
FROM gaps_with_controls
WHERE metric = 'ppg' AND scope = 'all' AND is_last
ORDER BY
    model,
    list_position(['caption', 'masked', 'remainder', 'rare'], query),
    k,
    coalesce(try_cast(labels AS INTEGER), 2147483647);
