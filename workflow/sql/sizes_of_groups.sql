-- Every duplicate group of the query roles, with the number of the dataset's samples in it.
SELECT samples.role, samples.group_id, count(*) AS samples, max(coalesce(duplicates.size, 1)) AS size
FROM samples
JOIN roles USING (role)
LEFT JOIN duplicates ON duplicates.group_id = samples.group_id AND duplicates.dataset = roles.dataset
WHERE samples.role <> 'public'
GROUP BY samples.role, samples.group_id
ORDER BY samples.role, samples.group_id;
