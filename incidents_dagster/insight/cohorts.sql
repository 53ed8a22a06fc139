-- view: Each incident in each cohort, severity and team that it belongs to, with its times so far.
--
-- Once for each measure: `resolve` ends when it is first closed, `acknowledge` when it is first
-- acknowledged. What has not ended counts as long as it is known not to have: leaving it out would
-- show only what goes quickly.
WITH measured AS (
    SELECT
        'resolve' AS measure,
        *,
        first_closed_at AS ended_at,
        open_until AS followed_until,
        counts_to_resolve AS counts,
        NULL::BOOLEAN AS is_past,
        NULL::DOUBLE AS gap_minutes
    FROM insight.incident_lifecycle
    UNION ALL
    SELECT
        'acknowledge' AS measure,
        *,
        CASE WHEN acknowledged_after IS NOT NULL THEN acknowledged_by END AS ended_at,
        CASE WHEN acknowledged_by IS NULL THEN coalesce(first_closed_at, open_until) END
            AS followed_until,
        counts_to_acknowledge AS counts,
        acknowledged_by IS NOT NULL OR phase = 'closed' OR last_closed_at IS NOT NULL AS is_past,
        (epoch_us(acknowledged_by) - epoch_us(acknowledged_after)) / 6e7 AS gap_minutes
    FROM insight.incident_lifecycle
),

timed AS (
    SELECT
        *,
        CASE
            WHEN counts AND coalesce(ended_at, followed_until) >= opened_at
                THEN (epoch_us(coalesce(ended_at, followed_until)) - epoch_us(opened_at)) / 6e7
        END AS minutes
    FROM measured
),

by_cohort AS (
    SELECT
        *,
        unnest(['all', strftime(opened_local, '%Y-%m'), strftime(opened_local, '%G-W%V')])
            AS cohort
    FROM timed
),

by_severity AS (
    SELECT * EXCLUDE (severity), unnest(['all', nullif(severity, 'all')]) AS severity FROM by_cohort
),

by_team AS (
    SELECT * EXCLUDE (team), unnest(['all', nullif(team, 'all')]) AS team FROM by_severity
)

SELECT
    measure, -- resolve or acknowledge.
    source, -- The source.
    id, -- The incident.
    cohort, -- When it was opened: all, a month such as 2026-11, or a week such as 2026-W48.
    severity, -- all, or its own.
    team, -- all, or its own.
    minutes, -- How long it took, or how long it has not ended; null: its times are missing or impossible, or it does not count.
    minutes IS NOT NULL AND ended_at IS NOT NULL AS has_ended, -- Whether it was closed (acknowledged), and when is known.
    is_open, -- Whether it is open now.
    is_past, -- Whether it was acknowledged or closed, whenever that was.
    gap_minutes -- How far apart the bounds of its acknowledgement are.
FROM by_team
WHERE cohort IS NOT NULL AND severity IS NOT NULL AND team IS NOT NULL
