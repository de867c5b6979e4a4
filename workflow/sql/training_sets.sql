-- What each side is trained on where the split has shared samples: the samples of its own role, the shared ones, and
-- the number in the training set that was joined of both, which is null where nothing was trained here.
SELECT own.role AS side, own.samples AS own, shared.samples AS shared, joined.rows_out AS trained_on
FROM roles AS own
JOIN roles AS shared ON shared.role = 'shared'
LEFT JOIN stages AS joined ON joined.stage = 'training_set' AND joined.subject = own.role
WHERE own.role IN ('a', 'b')
ORDER BY own.role;
