-- view: Kaplan-Meier curves of the times to resolve and to acknowledge.
--
-- A step of a curve says which share had not ended after so many minutes. This assumes that what is
-- still open goes on as others of its age did. Limits are those of 95 %, by Greenwood's formula on
-- the log-log scale.
WITH grouped AS (
    SELECT
        measure,
        source,
        cohort,
        severity,
        team,
        minutes,
        count(*) AS incidents,
        count(*) FILTER (WHERE has_ended) AS ended,
        count(*) FILTER (WHERE NOT has_ended AND is_open) AS still_open,
        count(*) FILTER (WHERE is_past) AS past,
        sum(gap_minutes) AS gap_minutes
    FROM insight.cohorts
    GROUP BY ALL
),

-- A number for each curve: windows over five texts take twice as long.
numbered AS (
    SELECT *, hash(measure, source, cohort, severity, team) AS curve FROM grouped
),

steps AS (
    SELECT
        *,
        sum(CASE WHEN minutes IS NOT NULL THEN incidents END) OVER (
            PARTITION BY measure, cohort, curve ORDER BY minutes DESC NULLS FIRST ROWS UNBOUNDED PRECEDING
        )::DOUBLE AS at_risk
    FROM numbered
),

curves AS (
    SELECT
        *,
        product(1 - ended / at_risk) OVER so_far AS share,
        sum(CASE WHEN ended < at_risk THEN ended / (at_risk * (at_risk - ended)) END) OVER so_far
            AS variance
    FROM steps
    WINDOW so_far AS (PARTITION BY measure, cohort, curve ORDER BY minutes NULLS LAST ROWS UNBOUNDED PRECEDING)
),

-- Where the share is neither 1 nor 0: products of fractions are rarely exact.
spread AS (
    SELECT
        *,
        CASE
            WHEN share BETWEEN 1e-12 AND 1 - 1e-12 THEN exp(1.959964 * sqrt(variance) / abs(ln(share)))
        END AS power
    FROM curves
)

SELECT
    measure, -- resolve or acknowledge.
    source, -- The source.
    cohort, -- As in cohorts.
    severity, -- all, or one.
    team, -- all, or one.
    minutes, -- The step: so long after they were opened; null: of those that have none.
    at_risk, -- How many had not ended until then, and are known that long.
    incidents, -- How many of them ended then, or are known no longer.
    ended, -- How many of them ended then.
    still_open, -- How many of them are open.
    past, -- How many of them were acknowledged or closed, whenever that was.
    gap_minutes, -- How far apart the bounds of their acknowledgements are, together.
    share, -- The share that had not ended after that.
    CASE WHEN share < 1e-12 THEN 0 ELSE pow(share, power) END AS share_low, -- Its lower limit.
    pow(share, 1 / power) AS share_high -- Its upper limit; null where there is none.
FROM spread
