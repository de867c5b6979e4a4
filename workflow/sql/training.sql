-- What happened in training, one line per noted step.
SELECT model, side, step, samples_seen, loss, learning_rate, logit_scale
FROM training
ORDER BY model, side, step;
