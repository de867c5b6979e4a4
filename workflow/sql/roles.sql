-- What each role of the split is.
SELECT role, dataset, samples, asked, listed, missing
FROM roles
ORDER BY list_position(['a', 'b', 'public', 'holdout'], role);
