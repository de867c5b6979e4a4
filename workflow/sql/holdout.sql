-- A digest of the holdout. Splits with equal digests have the same holdout, and so the same resamples of it.
SELECT count(*) AS samples, bit_xor(hash(row, group_id)) AS digest FROM samples WHERE role = 'holdout';
