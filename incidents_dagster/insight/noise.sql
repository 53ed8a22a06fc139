-- Which services had incidents in the last 13 weeks, and how many of these were hardly worth a look.
--
-- Deleted incidents are left out. Without services in the API, there is one row.
WITH recent AS (
    SELECT
        *,
        lag(opened_at) OVER (PARTITION BY source, service, title ORDER BY opened_at, id)
            AS opened_before
    FROM insight.incident_lifecycle
    WHERE phase IS DISTINCT FROM 'deleted'
)

SELECT
    source, -- The source.
    coalesce(service, 'none') AS service, -- The service; none: the incident has none.
    count(*) AS incidents, -- Incidents opened.
    count(*) FILTER (WHERE first_closed_at <= opened_at + INTERVAL 5 MINUTE AND acknowledged_by IS NULL) AS short_lived, -- Closed within 5 minutes, without an acknowledgement.
    count(*) FILTER (WHERE reopened > 0) AS reopened, -- Open again after they were closed.
    CASE WHEN count(title) > 0 THEN count(*) FILTER (WHERE title IS NOT NULL AND opened_at <= opened_before + INTERVAL 1 DAY) END AS repeated -- Opened within a day after another one of the same title; null: none has a title.
FROM recent
WHERE opened_at > as_of - INTERVAL 91 DAY
GROUP BY ALL
ORDER BY source, incidents DESC, service
