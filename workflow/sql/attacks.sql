-- Attacks besides the déjà vu test on each side, at the last epoch. Each has its null beside it: the same measure on
-- pairs that the side was not trained on.
SELECT
    measured.model,
    measured.side,
    measured.attack,
    measured.metric,
    measured.value,
    measured.ci_low,
    measured.ci_high,
    measured.n,
    control.value AS control_value,
    control.ci_low AS control_low,
    control.ci_high AS control_high
FROM attacks AS measured
JOIN attacks AS control
    ON control.model = measured.model
    AND control.side = measured.side
    AND control.epoch = measured.epoch
    AND control.attack = measured.attack
    AND control.metric = measured.metric || '_null'
WHERE measured.epoch = (SELECT max(epoch) FROM attacks AS same WHERE same.model = measured.model)
ORDER BY
    list_position(['roc_auc', 'tpr@1%fpr', 'mean', 'spearman_gap'], measured.metric),
    measured.attack,
    measured.model,
    measured.side;
