-- How long incidents take until they are first closed, by when they were opened.
--
-- Kaplan-Meier: what is still open counts as long as it has been open, and a deleted one until then.
-- A quantile that is not reached yet is null, never a number. An incident without the time of its
-- opening or its closing is in `incidents` and in `without_times`, and in no other figure.
SELECT
    source, -- The source.
    cohort, -- When they were opened: all, a month such as 2026-11, or a week such as 2026-W48.
    severity, -- all, or one.
    team, -- all, or one.
    incidents, -- All incidents of the cohort, deleted ones too.
    ended AS closed, -- Those that were closed, and when is known.
    still_open, -- Those that are open and were never closed.
    left_before AS deleted, -- Those that were deleted, or are no incidents any more, before they were closed.
    without_times, -- Those whose times are missing or impossible, whose status has no phase, or that do not count: see incident_lifecycle.
    p50_minutes, -- Half of them are closed after so many minutes; null: not reached.
    p75_minutes, -- Three quarters are; null: not reached.
    p90_minutes, -- Nine in ten are; null: not reached.
    p50_low, -- Lower limit of p50_minutes, 95 %.
    p50_high, -- Its upper limit; null: not reached.
    within_30_min, -- The share that is closed within 30 minutes; null: none was followed that long.
    within_1_h, -- Within an hour.
    within_4_h, -- Within 4 hours.
    within_1_d, -- Within a day.
    within_7_d -- Within 7 days.
FROM insight.cohort_times
WHERE measure = 'resolve'
ORDER BY source, cohort, severity, team
