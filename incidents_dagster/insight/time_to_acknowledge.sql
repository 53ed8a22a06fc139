-- How long incidents wait until somebody acknowledges them, by when they were opened.
--
-- As in `time_to_resolve`; what is closed without an acknowledgement counts until it was closed.
-- `coverage` says how much is known: an incident may be acknowledged and closed between two syncs.
-- A source that shows no acknowledgement has no rows.
SELECT
    source, -- The source.
    cohort, -- When they were opened: all, a month such as 2026-11, or a week such as 2026-W48.
    severity, -- all, or one.
    team, -- all, or one.
    incidents, -- All incidents of the cohort, deleted ones too.
    ended AS acknowledged, -- Those that were acknowledged, and when is known.
    closed, -- Those that were closed, and when is known.
    still_open, -- Those that are open and were never acknowledged.
    without_times, -- Those whose times are missing or impossible, whose status has no phase, or that do not count: see incident_lifecycle.
    CASE WHEN past > 0 THEN ended / past END AS coverage, -- Of those that were acknowledged or closed, the share whose acknowledgement is known.
    gap_minutes, -- How far apart the bounds of an acknowledgement are, on average; 0: the API says when.
    p50_minutes, -- Half of them are acknowledged after so many minutes; null: not reached.
    p75_minutes, -- Three quarters are; null: not reached.
    p90_minutes, -- Nine in ten are; null: not reached.
    p50_low, -- Lower limit of p50_minutes, 95 %.
    p50_high, -- Its upper limit; null: not reached.
    within_30_min, -- The share that is acknowledged within 30 minutes; null: none was followed that long.
    within_1_h, -- Within an hour.
    within_4_h, -- Within 4 hours.
    within_1_d, -- Within a day.
    within_7_d -- Within 7 days.
FROM insight.cohort_times
JOIN (
    SELECT source, cohort, severity, team, closed FROM insight.time_to_resolve
) USING (source, cohort, severity, team)
WHERE measure = 'acknowledge' AND source IN (
    SELECT source FROM insight.incident_lifecycle WHERE acknowledged_by IS NOT NULL
)
ORDER BY source, cohort, severity, team
