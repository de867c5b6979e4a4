-- The metrics of each training, one row per recorded step.
SELECT model, side, step, samples_seen, loss, learning_rate, logit_scale
FROM training
ORDER BY model, side, step;
