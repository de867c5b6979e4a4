-- What the run allows to say of every model at its last epoch: of objects (déjà vu), and of membership.
SELECT *
FROM verdicts
SEMI JOIN last_epochs USING (model, epoch)
ORDER BY model, list_position(['objects', 'membership'], about);
