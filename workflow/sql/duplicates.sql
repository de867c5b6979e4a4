-- The number of groups with more than one sample in the datasets of this split, and the number of samples in these
-- groups: by any criterion (null), and by each. A sample counts under a criterion if another member of its group agrees
-- with it in this criterion.
WITH agreements AS (
    SELECT size, unnest(map_entries(criteria)) AS agreement FROM duplicates
)
SELECT
    NULL AS criterion,
    count(*) AS groups,
    coalesce(sum(size), 0)::BIGINT AS samples,
    coalesce(max(size), 0) AS largest,
    (SELECT sum(rows_out) FROM stages WHERE stage = 'duplicates')::BIGINT AS of_samples
FROM duplicates
UNION ALL
SELECT
    agreement.key,
    count(*),
    sum(agreement.value)::BIGINT,
    max(size),
    (SELECT sum(rows_out) FROM stages WHERE stage = 'duplicates')::BIGINT
FROM agreements
GROUP BY agreement.key
ORDER BY list_position(['copy', 'origin', 'key', 'image', 'caption', 'near_image'], criterion) NULLS FIRST;
