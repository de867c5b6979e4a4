-- The ten labels that training captions most often leave unnamed, each with three captions that do not name it. People
-- can judge from these whether the captions really do not name the label, which scope `unnamed` rests on.
WITH queries AS (
    SELECT row, caption, objects, unnamed FROM samples WHERE role IN ('a', 'b')
),
showing AS (
    SELECT label, count(*) AS images FROM (SELECT unnest(objects) AS label FROM queries) GROUP BY label
),
-- Equal captions of several images count once among the examples.
leaving AS (
    SELECT label, caption, min(row) AS row, count(*) AS images
    FROM (SELECT unnest(unnamed) AS label, caption, row FROM queries)
    GROUP BY label, caption
)
SELECT
    label,
    sum(leaving.images)::BIGINT AS unnamed,
    any_value(showing.images) AS images,
    arg_min(leaving.caption, leaving.row, 3) AS captions
FROM leaving
JOIN showing USING (label)
GROUP BY label
ORDER BY unnamed DESC, label
LIMIT 10;
