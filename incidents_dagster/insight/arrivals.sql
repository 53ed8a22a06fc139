-- When incidents were opened in the last 13 weeks, by weekday and hour in the time zone of the settings.
--
-- All hours of the week are there. Deleted incidents are left out.
WITH opened AS (
    SELECT source, opened_local AS opened
    FROM insight.incident_lifecycle
    WHERE opened_at > as_of - INTERVAL 91 DAY AND phase IS DISTINCT FROM 'deleted'
),

counted AS (
    SELECT
        source,
        isodow(opened) AS weekday,
        hour(opened) AS hour,
        count(*) AS incidents,
        count(DISTINCT date_trunc('hour', opened)) AS disrupted_hours
    FROM opened
    GROUP BY ALL
),

slots AS (
    SELECT source, weekdays.weekday, hours.hour
    FROM
        (SELECT DISTINCT source FROM insight.incident_lifecycle),
        (SELECT unnest(generate_series(1, 7)) AS weekday) AS weekdays,
        (SELECT unnest(generate_series(0, 23)) AS hour) AS hours
)

SELECT
    source, -- The source.
    weekday, -- 1: Monday … 7: Sunday.
    hour, -- The hour of the day, 0 to 23.
    coalesce(incidents, 0) AS incidents, -- Incidents opened in it.
    coalesce(disrupted_hours, 0) AS disrupted_hours, -- In how many of the 13 weeks there was one.
    CASE
        WHEN list_contains(getvariable('sleep_hours'), hour) THEN 'sleep'
        WHEN list_contains(getvariable('business_days'), weekday) AND list_contains(getvariable('business_hours'), hour) THEN 'business'
        ELSE 'off hours'
    END AS class -- business, sleep or off hours, as in the settings.
FROM slots
LEFT JOIN counted USING (source, weekday, hour)
ORDER BY source, weekday, hour
