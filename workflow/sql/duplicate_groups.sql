-- The ten largest groups of samples that are the same thing, and how many of their members this split uses, in which
-- role: a group has one role only, and a role's limit may leave out some of it.
SELECT
    duplicates.dataset,
    duplicates.group_id,
    duplicates.size,
    map_entries(duplicates.criteria) AS criteria,
    duplicates.members,
    any_value(samples.role) AS role,
    count(samples.row) AS used
FROM duplicates
LEFT JOIN samples ON samples.group_id = duplicates.group_id
GROUP BY ALL
ORDER BY duplicates.size DESC, duplicates.group_id, duplicates.dataset
LIMIT 10;
