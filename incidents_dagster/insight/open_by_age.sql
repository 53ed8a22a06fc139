-- How long the open incidents have been open, and how long they have not changed, as of the last sync.
WITH buckets AS (
    SELECT *
    FROM (
        VALUES
            (1, 'under 1 h', 0, 60),
            (2, '1 h to 4 h', 60, 240),
            (3, '4 h to 1 d', 240, 1440),
            (4, '1 d to 3 d', 1440, 4320),
            (5, '3 d to 7 d', 4320, 10080),
            (6, '7 d to 30 d', 10080, 43200),
            (7, 'over 30 d', 43200, NULL),
            (8, 'unknown', NULL, NULL)
    ) AS listed (position, bucket, at_least, below)
),

sources AS (
    SELECT DISTINCT source FROM insight.incident_lifecycle
),

-- Each open incident twice.
measured AS (
    SELECT source, 'open' AS measure, age_minutes AS minutes FROM insight.incident_lifecycle WHERE is_open
    UNION ALL
    SELECT source, 'not updated', minutes_since_update FROM insight.incident_lifecycle WHERE is_open
)

SELECT
    sources.source, -- The source.
    buckets.bucket, -- How long, such as 1 h to 4 h; unknown: without the time of the opening.
    buckets.position, -- The buckets in their order.
    count(*) FILTER (measured.measure = 'open') AS open, -- Incidents that have been open so long.
    count(*) FILTER (measured.measure = 'not updated') AS not_updated -- Open incidents that have not changed for so long.
FROM sources
CROSS JOIN buckets
LEFT JOIN measured ON
    measured.source = sources.source
    AND CASE
        WHEN buckets.at_least IS NULL THEN measured.minutes IS NULL
        ELSE measured.minutes >= buckets.at_least AND coalesce(measured.minutes < buckets.below, true)
    END
GROUP BY sources.source, buckets.bucket, buckets.position
ORDER BY sources.source, buckets.position
