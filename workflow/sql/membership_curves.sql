-- The ROC curves of the membership attacks and of their controls, at the last epoch.
SELECT curves.model, curves.side, curves.attack, curves.contrast, curves.fpr, curves.tpr
FROM membership_curves AS curves
JOIN last_epochs ON last_epochs.model = curves.model AND last_epochs.epoch = curves.epoch
ORDER BY
    curves.model,
    curves.side,
    list_position(['reference_csa', 'rmia', 'clipmem', 'recall_gap', 'csa'], curves.attack),
    curves.contrast,
    curves.fpr;
