"""The SQL of the figures: of each section, as few rows as its picture needs.

`figures` runs it; `trust` and `last_week` have their own.
"""

TIMES = (
    "source, severity, incidents, closed, still_open, without_times, p50_minutes, p50_low, "
    "p50_high, p90_minutes, within_1_d"
)
# After the last day of a source, what was open then counts: another may be further by a sync that
# began after midnight, and one that fails has not closed its incidents.
BACKLOG = """
WITH known AS (
    SELECT source, min(day) AS first_day, max(day) AS last_day
    FROM insight.backlog_daily GROUP BY source
),

days AS (
    SELECT unnest(generate_series(min(first_day), max(last_day), INTERVAL 1 DAY))::DATE AS day
    FROM known
)

SELECT days.day, sum(open_at_end)::BIGINT,
    CASE WHEN count(*) = count(acknowledged_at_end) THEN sum(acknowledged_at_end)::BIGINT END,
    count(*)
FROM days
JOIN known ON days.day >= first_day
JOIN insight.backlog_daily AS backlog
    ON backlog.source = known.source AND backlog.day = least(days.day, last_day)
GROUP BY days.day
ORDER BY days.day
"""
# At most forty steps from 1 minute to 10, from 10 to 100, and so on: the last one of each.
STEPS = """
SELECT source, severity, max(minutes), min(share), max_by(share_low, minutes),
    max_by(share_high, minutes)
FROM insight.survival
WHERE measure = 'resolve' AND cohort = 'all' AND team = 'all' AND minutes IS NOT NULL
    AND (severity = 'all' OR $by_severity)
GROUP BY source, severity, round(40 * log10(greatest(minutes, 0.1)))
ORDER BY source, severity, max(minutes)
"""
# By chance, but the same ones as long as there are the same incidents.
DOTS = """
SELECT coalesce(nullif(trim(title), ''), id), first_closed_at IS NULL,
    (epoch_us(coalesce(first_closed_at, open_until)) - epoch_us(opened_at)) / 6e7
FROM insight.incident_lifecycle
WHERE coalesce(first_closed_at, open_until) >= opened_at
    AND (first_closed_at IS NOT NULL OR is_open) AND counts_to_resolve
ORDER BY hash(source, id) LIMIT $most
"""
OLDEST = """
SELECT coalesce(nullif(trim(title), ''), id), url, source, severity, status, age_minutes
FROM insight.incident_lifecycle WHERE is_open AND age_minutes IS NOT NULL
ORDER BY age_minutes DESC, source, id LIMIT 10
"""
AGES = """
SELECT bucket, sum(open)::BIGINT, sum(not_updated)::BIGINT
FROM insight.open_by_age GROUP BY bucket, position ORDER BY position
"""
ARRIVALS = """
SELECT weekday, hour, sum(incidents)::BIGINT, max(class)
FROM insight.arrivals GROUP BY weekday, hour ORDER BY weekday, hour
"""
# Hours with a new incident of any source, and for how many weeks incidents are known.
DISRUPTED = """
WITH opened AS (
    SELECT DISTINCT class, date_trunc('hour', opened_local) AS opened_hour
    FROM insight.incident_lifecycle AS incidents
    JOIN insight.arrivals ON
        arrivals.source = incidents.source
        AND weekday = isodow(opened_local)
        AND arrivals.hour = hour(opened_local)
    WHERE opened_at > as_of - INTERVAL 91 DAY AND phase IS DISTINCT FROM 'deleted'
)
SELECT class, count(*) FROM opened GROUP BY class
"""
WEEKS = """
SELECT least(13, max(epoch(as_of) - epoch(opened_at)) / 604800) FROM insight.incident_lifecycle
"""
# What was closed before the first sync may have been short-lived; only some APIs say when it was.
NOISE = """
SELECT source, service, incidents, incidents - coalesce(untimed, 0), short_lived, reopened, repeated
FROM insight.noise
LEFT JOIN (
    SELECT source, coalesce(service, 'none') AS service, count(*) AS untimed
    FROM insight.incident_lifecycle
    WHERE
        first_closed_at IS NULL
        AND (phase = 'closed' OR phase IS NULL)
        AND opened_at > as_of - INTERVAL 91 DAY
    GROUP BY ALL
) USING (source, service)
ORDER BY incidents DESC, source, service
"""
ACKNOWLEDGED = """
SELECT source, cohort, incidents, acknowledged, coverage, gap_minutes, p50_minutes, p50_low,
    p50_high, p90_minutes
FROM insight.time_to_acknowledge
WHERE severity = 'all' AND team = 'all' AND NOT contains(cohort, 'W')
ORDER BY source, cohort = 'all' DESC, cohort
"""
# The sources with the most incidents, and the severities of each.
GROUPS = f"""
SELECT {TIMES} FROM insight.time_to_resolve
WHERE cohort = 'all' AND team = 'all'
ORDER BY max(incidents) OVER (PARTITION BY source) DESC, source, severity = 'all' DESC,
    p50_minutes NULLS LAST, severity
"""
