-- How well each attack tells members from non-members, at the last epoch, beside its control: the same attack where
-- nobody was trained on either part. Rates are null where the non-members are too few to set a threshold.
SELECT
    measured.*,
    control.auc AS control_auc,
    control.auc_low AS control_auc_low,
    control.auc_high AS control_auc_high,
    control.tpr_at_1_percent AS control_tpr_at_1_percent,
    control.tpr_at_1_percent_low AS control_tpr_at_1_percent_low,
    control.tpr_at_1_percent_high AS control_tpr_at_1_percent_high,
    control.tpr_at_0_1_percent AS control_tpr_at_0_1_percent,
    control.tpr_at_0_1_percent_low AS control_tpr_at_0_1_percent_low,
    control.tpr_at_0_1_percent_high AS control_tpr_at_0_1_percent_high
FROM membership AS measured
JOIN last_epochs ON last_epochs.model = measured.model AND last_epochs.epoch = measured.epoch
LEFT JOIN membership AS control
    ON control.model = measured.model
    AND control.side = measured.side
    AND control.epoch = measured.epoch
    AND control.attack = measured.attack
    AND control.contrast = 'control'
WHERE measured.contrast = 'evaluation'
ORDER BY
    measured.model,
    measured.side,
    list_position(['reference_csa', 'rmia', 'clipmem', 'recall_gap', 'csa'], measured.attack);
