-- The duplicate groups of each query role: their number, the number of effective groups, the size of the largest group
-- in the role, and the size of every group in the dataset.
WITH groups AS (
    SELECT samples.role, samples.group_id, count(*) AS samples, max(coalesce(duplicates.size, 1)) AS size
    FROM samples
    JOIN roles USING (role)
    LEFT JOIN duplicates ON duplicates.group_id = samples.group_id AND duplicates.dataset = roles.dataset
    WHERE samples.role IN ('a', 'b', 'holdout')
    GROUP BY samples.role, samples.group_id
)
SELECT
    role,
    sum(samples)::BIGINT AS samples,
    count(*) AS groups,
    sum(samples) ** 2 / sum(samples ** 2) AS effective,
    max(samples) AS largest,
    avg(size) AS mean_size,
    list(size ORDER BY group_id) AS sizes
FROM groups
GROUP BY role
ORDER BY role;
