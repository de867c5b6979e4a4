-- The verdicts on every model at its last epoch: about objects (déjà vu), and about membership.
SELECT *
FROM verdicts
SEMI JOIN last_epochs USING (model, epoch)
ORDER BY model, list_position(['objects', 'membership'], about);
