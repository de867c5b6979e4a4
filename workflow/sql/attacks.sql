-- Membership attacks on each side, at the last epoch.
SELECT model, side, attack, metric, value, ci_low, ci_high
FROM attacks
WHERE epoch = (SELECT max(epoch) FROM attacks AS same WHERE same.model = attacks.model)
ORDER BY attack, metric, model, side;
