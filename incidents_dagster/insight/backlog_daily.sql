-- How many incidents were open at the end of each day, and what came and went on it.
--
-- A day is over once a sync that began later was proven; from then on its row stays as it is,
-- whatever comes later: what turns up too late counts on the day on which it was first seen. Days
-- before the first sync are there if the API says when each closed incident was closed; who had taken
-- on what by then is known from the API's times alone.
WITH seen AS (
    SELECT
        *,
        phase IN ('open', 'acknowledged') AS is_open,
        lag(phase IN ('open', 'acknowledged')) OVER incident AS was_open,
        lag(CASE WHEN phase NOT IN ('deleted', 'other') THEN phase END IGNORE NULLS) OVER incident
            AS last_live_phase,
        row_number() OVER incident AS number,
        CASE WHEN evidence = 'field' THEN entered_after ELSE entered_by END AS entered_at,
        CASE
            WHEN seen_after IS NULL THEN least(coalesce(created_at, entered_by), seen_by)
            WHEN created_at BETWEEN seen_after AND seen_by THEN created_at
            ELSE seen_by
        END AS appeared_at
    FROM insight.incident_status_history
    WHERE phase IS NOT NULL
    WINDOW incident AS (PARTITION BY source, id ORDER BY sequence)
),

-- An incident's first interval may begin after it was opened and acknowledged.
phased AS (
    SELECT
        *,
        number = 1 AND (is_open OR (phase = 'closed' AND (seen_after IS NOT NULL OR evidence = 'field')))
            AS is_first,
        coalesce(
            phase IN ('acknowledged', 'closed')
            AND acknowledged_at >= appeared_at
            AND acknowledged_at <= CASE WHEN is_open THEN seen_by ELSE entered_at END,
            false
        ) AS was_acknowledged
    FROM seen
),

-- Up to three of what is first seen: opened, acknowledged, closed. Then one an interval.
moves AS (
    SELECT
        source,
        id,
        number,
        1 AS step,
        appeared_at AS moved_at,
        'opened' AS move,
        CASE WHEN was_acknowledged THEN 'open' ELSE phase END AS phase,
        created_at
    FROM phased
    WHERE is_first
    UNION ALL
    SELECT source, id, number, 2, acknowledged_at, 'moved', 'acknowledged', created_at
    FROM phased
    WHERE is_first AND was_acknowledged
    UNION ALL
    SELECT
        source,
        id,
        number,
        3,
        CASE WHEN number = 1 THEN greatest(appeared_at, entered_at) ELSE entered_at END AS moved_at,
        CASE
            WHEN is_open AND last_live_phase = 'closed' THEN 'reopened'
            WHEN is_open AND was_open THEN 'moved'
            WHEN is_open AND last_live_phase IS NULL THEN 'opened'
            WHEN is_open THEN 'returned'
            WHEN phase = 'closed' THEN 'closed'
            ELSE 'deleted'
        END AS move,
        phase,
        created_at
    FROM phased
    WHERE
        (number > 1 AND (is_open OR was_open))
        OR (is_first AND phase = 'closed')
),

dated AS (
    SELECT
        *,
        timezone(getvariable('timezone'), moved_at)::DATE AS day,
        lead(timezone(getvariable('timezone'), moved_at)::DATE) OVER incident AS until_day
    FROM moves
    WINDOW incident AS (PARTITION BY source, id ORDER BY number, step)
),

synced AS (
    SELECT source, min(begun) AS first_begun, max(begun) AS last_begun, any_value(as_of) AS as_of
    FROM incidents.syncs
    JOIN (SELECT DISTINCT source, as_of FROM insight.incident_lifecycle) USING (source)
    GROUP BY source
),

-- The first sync may have found closed incidents of which nobody knows when they were open.
unknown AS (
    SELECT DISTINCT source
    FROM phased
    WHERE number = 1 AND phase = 'closed' AND seen_after IS NULL AND evidence <> 'field'
),

-- Else all that was closed at the first sync would count as never acknowledged.
acknowledging AS (
    SELECT DISTINCT source FROM phased WHERE seen_after IS NULL AND acknowledged_at IS NOT NULL
),

spans AS (
    SELECT
        *,
        timezone(getvariable('timezone'), first_begun)::DATE AS first_synced_day,
        timezone(getvariable('timezone'), as_of)::DATE AS last_day,
        CASE
            WHEN source IN (FROM unknown) THEN first_synced_day
            ELSE least(first_moved_day, first_synced_day)
        END AS first_day
    FROM synced
    LEFT JOIN (SELECT source, min(day) AS first_moved_day FROM dated GROUP BY source) USING (source)
),

days AS (
    SELECT
        source,
        last_begun,
        as_of,
        first_synced_day,
        unnest(generate_series(first_day, last_day, INTERVAL 1 DAY))::DATE AS day
    FROM spans
),

flows AS (
    SELECT
        source,
        day,
        count(*) FILTER (WHERE move = 'opened') AS opened,
        count(*) FILTER (WHERE move = 'closed') AS closed,
        count(*) FILTER (WHERE move = 'reopened') AS reopened,
        count(*) FILTER (WHERE move = 'deleted') AS deleted,
        count(*) FILTER (WHERE move = 'returned') AS returned
    FROM dated
    GROUP BY ALL
),

-- The days at whose end each is open: from its day on, until the day on which it moves again.
open_days AS (
    SELECT
        source,
        phase,
        created_at,
        unnest(range(
            greatest(day, first_day), least(coalesce(until_day, last_day + 1), last_day + 1), INTERVAL 1 DAY
        ))::DATE AS day
    FROM dated
    JOIN spans USING (source)
    WHERE move NOT IN ('closed', 'deleted')
),

standing AS (
    SELECT
        source,
        day,
        count(*) AS open_at_end,
        count(*) FILTER (WHERE phase = 'acknowledged') AS acknowledged_at_end,
        min(created_at) AS oldest_created_at
    FROM open_days
    GROUP BY ALL
),

ended AS (
    SELECT
        *,
        timezone(getvariable('timezone'), (day + 1)::TIMESTAMP) AS day_end
    FROM days
)

SELECT
    source, -- The source.
    day, -- The day, in the time zone of the settings.
    coalesce(opened, 0) AS opened, -- Incidents opened on it.
    coalesce(closed, 0) AS closed, -- Open ones that were closed on it.
    coalesce(reopened, 0) AS reopened, -- Closed ones that were open again.
    coalesce(deleted, 0) AS deleted, -- Open ones that the API no longer had, or that became no incidents.
    coalesce(returned, 0) AS returned, -- Those of them that were there again, open.
    coalesce(open_at_end, 0) AS open_at_end, -- How many were open at its end.
    CASE WHEN day >= first_synced_day OR source IN (FROM acknowledging) THEN coalesce(acknowledged_at_end, 0) END AS acknowledged_at_end, -- How many of those were acknowledged; null: unknown, as the API gives no such times.
    CASE WHEN least(day_end, as_of) >= oldest_created_at THEN (epoch_us(least(day_end, as_of)) - epoch_us(oldest_created_at)) / 6e7 END AS oldest_age_minutes, -- How long the oldest of them had been open by then.
    last_begun >= day_end AS is_over -- Whether a sync that began after its end was proven, so that the row stays.
FROM ended
LEFT JOIN flows USING (source, day)
LEFT JOIN standing USING (source, day)
ORDER BY source, day
