-- Each incident in one row: when it was opened, first acknowledged, first and last closed.
--
-- Of a change between two syncs the later bound counts. What was closed before the first sync has a
-- time only where the API gives one, and a time before the incident was opened is none. If the API
-- gives none, only what was opened since then says how long incidents take: of what was opened
-- before, those that went quickly were closed, and nobody knows when.
WITH read AS (
    SELECT source, max(ended) AS as_of
    FROM (
        SELECT source, ended FROM incidents.syncs
        UNION ALL
        SELECT source, sync_ended FROM incidents.change_log
    )
    GROUP BY source
),

-- A status without a phase changes nothing.
phased AS (
    SELECT
        *,
        lag(phase) OVER incident AS phase_before,
        lag(CASE WHEN phase NOT IN ('deleted', 'other') THEN phase END IGNORE NULLS) OVER incident
            AS last_live_phase,
        CASE
            WHEN evidence = 'field' THEN entered_after
            WHEN seen_after IS NOT NULL THEN entered_by
        END AS entered_at
    FROM insight.incident_status_history
    WHERE phase IS NOT NULL
    WINDOW incident AS (PARTITION BY source, id ORDER BY sequence)
),

closings AS (
    SELECT
        source,
        id,
        arg_min_null(entered_at, sequence) AS first_closed_at,
        arg_max_null(entered_at, sequence) AS last_closed_at
    FROM phased
    WHERE phase = 'closed' AND last_live_phase IS DISTINCT FROM 'closed'
    GROUP BY ALL
),

acknowledgements AS (
    SELECT
        source,
        id,
        arg_min_null(entered_after, sequence) AS acknowledged_after,
        arg_min_null(
            CASE WHEN evidence = 'field' THEN entered_after ELSE entered_by END, sequence
        ) AS acknowledged_by
    FROM phased
    WHERE phase = 'acknowledged'
    GROUP BY ALL
),

-- By the last interval of each incident that has a phase.
present AS (
    SELECT
        source,
        id,
        arg_max_null(phase, sequence) AS phase,
        arg_max_null(entered_after, sequence) AS entered_after,
        arg_max_null(entered_by, sequence) AS entered_by,
        count(*) FILTER (WHERE phase IN ('open', 'acknowledged') AND last_live_phase = 'closed') AS reopened
    FROM phased
    GROUP BY ALL
),

first_seen AS (
    SELECT source, id, phase, evidence, acknowledged_at
    FROM insight.incident_status_history
    WHERE sequence = 1 AND seen_after IS NULL
),

-- A list of what is open never shows what was closed before the first sync.
unknown AS (
    SELECT
        source,
        source IN (SELECT phases.source FROM phases WHERE phases.status IS NULL AND phases.phase = 'closed')
            AS lists_open_ones,
        bool_and(evidence <> 'field') FILTER (WHERE phase = 'closed') AS closings,
        bool_and(acknowledged_at IS NULL) FILTER (WHERE phase IN ('acknowledged', 'closed'))
            AS acknowledgements
    FROM first_seen
    GROUP BY source
),

joined AS (
    SELECT
        incidents.*,
        read.as_of,
        closings.source IS NOT NULL AS was_closed,
        CASE WHEN closings.first_closed_at >= coalesce(created_at, first_closed_at) THEN closings.first_closed_at END AS first_closed,
        CASE WHEN closings.last_closed_at >= coalesce(created_at, last_closed_at) THEN closings.last_closed_at END AS last_closed,
        acknowledgements.acknowledged_after AS seen_acknowledged_after,
        acknowledgements.acknowledged_by AS seen_acknowledged_by,
        CASE
            WHEN incidents.acknowledged_at >= coalesce(incidents.created_at, incidents.acknowledged_at)
                AND incidents.acknowledged_at <= coalesce(acknowledgements.acknowledged_by, read.as_of)
                THEN incidents.acknowledged_at
        END AS given_acknowledged_at,
        coalesce(
            present.phase, CASE WHEN incidents.deleted_at IS NULL THEN incidents.phase ELSE 'deleted' END
        ) AS phase_now,
        present.entered_after,
        present.entered_by,
        coalesce(present.reopened, 0) AS reopened,
        coalesce(first_seen.id IS NOT NULL AND (lists_open_ones OR unknown.closings), false)
            AS misses_closings,
        coalesce(first_seen.id IS NOT NULL AND (lists_open_ones OR unknown.acknowledgements), false)
            AS misses_acknowledgements
    FROM incidents.incidents
    LEFT JOIN read USING (source)
    LEFT JOIN closings USING (source, id)
    LEFT JOIN acknowledgements USING (source, id)
    LEFT JOIN present USING (source, id)
    LEFT JOIN first_seen USING (source, id)
    LEFT JOIN unknown USING (source)
)

SELECT
    source, -- The source.
    id, -- The incident's primary key, as text.
    title, -- What it is about.
    url, -- Its page, for people.
    severity, -- How bad it is, as the API names it.
    service, -- The service that it is about.
    team, -- The team that is responsible for it.
    status, -- Its status now.
    phase_now AS phase, -- Its phase now: open, acknowledged, closed, other or deleted; null: no phase is set for its status.
    created_at AS opened_at, -- When it was opened, UTC.
    timezone(getvariable('timezone'), created_at) AS opened_local, -- When it was opened, in the time zone of the settings.
    coalesce(given_acknowledged_at, seen_acknowledged_after) AS acknowledged_after, -- It was first acknowledged at this moment or later; null: unknown, or not yet.
    coalesce(given_acknowledged_at, seen_acknowledged_by) AS acknowledged_by, -- It was first acknowledged at this moment or earlier; null: it never was, as far as is known.
    first_closed AS first_closed_at, -- When it was first closed; null: not yet, or unknown.
    last_closed AS last_closed_at, -- When it was last closed.
    reopened, -- How often it was open again after it was closed.
    phase_now IN ('open', 'acknowledged') AS is_open, -- Whether it is open now; null: no phase is set for its status.
    CASE WHEN is_open AND as_of >= created_at THEN (epoch_us(as_of) - epoch_us(created_at)) / 6e7 END AS age_minutes, -- How long ago it was opened, if it is open.
    CASE WHEN phase_now IS DISTINCT FROM 'deleted' AND as_of >= updated_at THEN (epoch_us(as_of) - epoch_us(updated_at)) / 6e7 END AS minutes_since_update, -- How long it has not changed.
    CASE WHEN phase_now = 'deleted' THEN coalesce(entered_by, deleted_at) END AS deleted_at, -- When the API no longer had it.
    CASE
        WHEN was_closed THEN NULL
        WHEN is_open THEN as_of
        WHEN phase_now IN ('deleted', 'other') THEN coalesce(entered_after, entered_by)
    END AS open_until, -- The moment up to which it is known that it was never closed; null: it was, or nobody knows.
    NOT misses_closings AS counts_to_resolve, -- Whether it counts in times to resolve: not if it is older than the first sync, and the API does not say when such ones were closed.
    NOT misses_acknowledgements AS counts_to_acknowledge, -- The same of times to acknowledge.
    as_of -- When the last sync of the source had read all.
FROM joined
ORDER BY source, id
