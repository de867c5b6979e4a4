-- What the run allows to say of every model at its last epoch: of objects (déjà vu), and of membership.
SELECT *
FROM verdicts
WHERE epoch = (SELECT max(epoch) FROM verdicts AS same WHERE same.model = verdicts.model)
ORDER BY model, list_position(['objects', 'membership'], about);
