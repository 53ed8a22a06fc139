-- view: How long the incidents of each cohort take, by Kaplan-Meier; of both measures.
--
-- Products of fractions are rarely exact, hence the small number beside a share.
WITH summed AS (
    SELECT
        measure,
        source,
        cohort,
        severity,
        team,
        sum(incidents)::BIGINT AS incidents,
        sum(ended)::BIGINT AS ended,
        coalesce(sum(still_open) FILTER (WHERE minutes IS NOT NULL), 0)::BIGINT AS still_open,
        coalesce(sum(incidents) FILTER (WHERE minutes IS NULL), 0)::BIGINT AS without_times,
        sum(past)::BIGINT AS past,
        sum(gap_minutes) AS gap_minutes,
        min(minutes) FILTER (WHERE share <= 0.5 + 1e-9) AS p50_minutes,
        min(minutes) FILTER (WHERE share <= 0.25 + 1e-9) AS p75_minutes,
        min(minutes) FILTER (WHERE share <= 0.1 + 1e-9) AS p90_minutes,
        min(minutes) FILTER (WHERE share_low <= 0.5 + 1e-9) AS p50_low,
        min(minutes) FILTER (WHERE share_high <= 0.5 + 1e-9) AS p50_high,
        min(share) FILTER (WHERE minutes <= 30) AS after_30_min,
        min(share) FILTER (WHERE minutes <= 60) AS after_1_h,
        min(share) FILTER (WHERE minutes <= 240) AS after_4_h,
        min(share) FILTER (WHERE minutes <= 1440) AS after_1_d,
        min(share) FILTER (WHERE minutes <= 10080) AS after_7_d,
        CASE WHEN min(share) < 1e-12 THEN 'infinity'::DOUBLE ELSE max(minutes) END AS known_for
    FROM insight.survival
    GROUP BY ALL
)

SELECT
    measure, -- resolve or acknowledge.
    source, -- The source.
    cohort, -- As in cohorts.
    severity, -- all, or one.
    team, -- all, or one.
    incidents, -- All incidents of the cohort, deleted ones too.
    ended, -- Those that have ended, and when is known.
    still_open, -- Those that have not ended, and are open.
    incidents - ended - still_open - without_times AS left_before, -- Those that have not ended, and are not open any more.
    without_times, -- Those whose times are missing or impossible, whose status has no phase, or that do not count: see incident_lifecycle.
    past, -- Those that were acknowledged or closed, whenever that was.
    gap_minutes / nullif(past, 0) AS gap_minutes, -- How far apart the bounds of an acknowledgement are, on average.
    p50_minutes, -- Half of them have ended after so many minutes; null: not reached.
    p75_minutes, -- Three quarters have; null: not reached.
    p90_minutes, -- Nine in ten have; null: not reached.
    p50_low, -- Lower limit of p50_minutes, 95 %.
    p50_high, -- Its upper limit; null: not reached.
    CASE WHEN known_for >= 30 THEN 1 - coalesce(after_30_min, 1) END AS within_30_min, -- The share that has ended within 30 minutes; null: none is known that long.
    CASE WHEN known_for >= 60 THEN 1 - coalesce(after_1_h, 1) END AS within_1_h, -- Within an hour.
    CASE WHEN known_for >= 240 THEN 1 - coalesce(after_4_h, 1) END AS within_4_h, -- Within 4 hours.
    CASE WHEN known_for >= 1440 THEN 1 - coalesce(after_1_d, 1) END AS within_1_d, -- Within a day.
    CASE WHEN known_for >= 10080 THEN 1 - coalesce(after_7_d, 1) END AS within_7_d -- Within 7 days.
FROM summed
