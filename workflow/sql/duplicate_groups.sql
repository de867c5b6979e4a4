-- The ten largest duplicate groups, the role of each in this split, and the number of members that the split uses. A
-- group has one role only, and the limit of the role may leave out some of its members.
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
