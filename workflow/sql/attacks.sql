-- Other attacks on each side, at the last epoch, each with its null beside it: the same where nothing was seen.
SELECT
    found.model,
    found.side,
    found.attack,
    found.metric,
    found.value,
    found.ci_low,
    found.ci_high,
    found.n,
    null_control.value AS null_value,
    null_control.ci_low AS null_low,
    null_control.ci_high AS null_high
FROM attacks AS found
JOIN attacks AS null_control
    ON null_control.model = found.model
    AND null_control.side = found.side
    AND null_control.epoch = found.epoch
    AND null_control.attack = found.attack
    AND null_control.metric = found.metric || '_null'
WHERE found.epoch = (SELECT max(epoch) FROM attacks AS same WHERE same.model = found.model)
ORDER BY
    list_position(['roc_auc', 'tpr@1%fpr', 'mean', 'spearman_gap'], found.metric),
    found.attack,
    found.model,
    found.side;
