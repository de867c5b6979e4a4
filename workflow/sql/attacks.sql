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
    control.value AS control_value,
    control.ci_low AS control_low,
    control.ci_high AS control_high
FROM attacks AS found
JOIN attacks AS control
    ON control.model = found.model
    AND control.side = found.side
    AND control.epoch = found.epoch
    AND control.attack = found.attack
    AND control.metric = found.metric || '_null'
WHERE found.epoch = (SELECT max(epoch) FROM attacks AS same WHERE same.model = found.model)
ORDER BY
    list_position(['roc_auc', 'tpr@1%fpr', 'mean', 'spearman_gap'], found.metric),
    found.attack,
    found.model,
    found.side;
