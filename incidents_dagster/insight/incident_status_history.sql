-- Each incident's way through its statuses: a row for each interval in a status, in order.
--
-- Syncs poll, so a change lies between two of them: `entered_after` and `entered_by` are its bounds,
-- null where nothing is known. A time that the API gives for the change narrows them (evidence
-- `field`), and so does the time of the incident's last update (`update`), as the change cannot be
-- later than that; else they are the two syncs (`poll`). What was there at the first sync has no
-- known beginning. A deletion is an interval without a status, in the phase `deleted`.
--
-- `phases` has the phase of each status as it is set today, so a mended setting mends the past, too;
-- without a status, it is the phase of what the API's list no longer has.
WITH entries AS (
    SELECT
        log.*,
        CASE
            WHEN log.deleted THEN coalesce(absent.phase, 'deleted')
            WHEN log.source IN (SELECT phases.source FROM phases WHERE phases.status IS NOT NULL) THEN mapped.phase
            ELSE log.phase
        END AS phase_now,
        CASE WHEN log.deleted AND absent.phase IS NULL THEN NULL ELSE log.status END AS status_now
    FROM incidents.change_log AS log
    LEFT JOIN phases AS mapped
        ON mapped.source = log.source AND mapped.status = lower(log.status)
    LEFT JOIN phases AS absent
        ON absent.source = log.source AND absent.status IS NULL
),

compared AS (
    SELECT
        *,
        lag(entry) OVER incident IS NULL AS is_first,
        lag(status_now) OVER incident AS status_before,
        lag(phase_now) OVER incident AS phase_before,
        coalesce(lag(deleted) OVER incident, false) AS was_deleted,
        last_value(status_now) OVER whole AS last_status,
        last_value(phase_now) OVER whole AS last_phase
    FROM entries
    WINDOW
        incident AS (PARTITION BY source, id ORDER BY entry),
        whole AS (
            PARTITION BY source, id ORDER BY entry
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
        )
),

-- An entry begins an interval unless only something else changed, or only the settings did: then
-- the interval has what its last entry says.
intervals AS (
    SELECT
        *,
        row_number() OVER incident AS sequence,
        CASE WHEN lead(entry) OVER incident IS NULL THEN last_status ELSE lead(status_before) OVER incident END
            AS final_status,
        CASE WHEN lead(entry) OVER incident IS NULL THEN last_phase ELSE lead(phase_before) OVER incident END
            AS final_phase,
        -- Some say that they were opened after they changed.
        CASE
            WHEN
                is_first
                AND created_at BETWEEN seen_before AND sync_ended
                AND created_at <= coalesce(updated_at, created_at)
                THEN created_at
            ELSE seen_before
        END AS earliest
    FROM compared
    WHERE
        is_first
        OR (
            NOT refilled
            AND (
                status_now IS DISTINCT FROM status_before
                OR phase_now IS DISTINCT FROM phase_before
            )
        )
    WINDOW incident AS (PARTITION BY source, id ORDER BY entry)
),

-- If several statuses are of one phase, the API's time for the phase may be that of another one.
single AS (
    SELECT source, phase FROM phases GROUP BY ALL HAVING count(*) = 1
),

timed AS (
    SELECT
        intervals.*,
        single.phase IS NOT NULL AS is_only_status,
        CASE
            WHEN final_phase IS NOT DISTINCT FROM phase_before AND NOT is_first THEN NULL
            WHEN final_phase = 'acknowledged' THEN acknowledged_at
            WHEN final_phase = 'closed' THEN resolved_at
        END AS given
    FROM intervals
    LEFT JOIN single ON single.source = intervals.source AND single.phase = final_phase
),

judged AS (
    SELECT
        *,
        coalesce(
            NOT (deleted OR was_deleted)
            AND given >= coalesce(earliest, given)
            AND given >= coalesce(created_at, given)
            AND given <= sync_ended,
            false
        ) AS is_given,
        coalesce(
            NOT (deleted OR was_deleted)
            AND updated_at >= coalesce(earliest, updated_at)
            AND updated_at <= sync_ended,
            false
        ) AS is_updated
    FROM timed
),

bounded AS (
    SELECT
        *,
        CASE WHEN is_given THEN given ELSE earliest END AS after_bound,
        CASE
            WHEN is_given AND is_only_status THEN given
            WHEN is_updated THEN updated_at
            ELSE sync_ended
        END AS by_bound
    FROM judged
),

-- Never earlier than the interval before.
ordered AS (
    SELECT
        *,
        max(after_bound) OVER so_far AS entered_after,
        max(by_bound) OVER so_far AS entered_by
    FROM bounded
    WINDOW so_far AS (PARTITION BY source, id ORDER BY sequence)
)

SELECT
    source, -- The source.
    id, -- The incident's primary key, as text.
    sequence, -- The interval's number, from 1.
    final_status AS status, -- The status, as the API names it; null after a deletion.
    final_phase AS phase, -- open, acknowledged, closed, other or deleted; null if no phase is set for the status.
    entered_after, -- The status was entered at this moment or later, UTC; null: unknown.
    entered_by, -- The status was entered at this moment or earlier, UTC.
    lead(entered_after) OVER incident AS left_after, -- It was left at this moment or later; null: it is the present one.
    lead(entered_by) OVER incident AS left_by, -- It was left at this moment or earlier; null: it is the present one.
    CASE WHEN is_given THEN 'field' WHEN is_updated THEN 'update' ELSE 'poll' END AS evidence, -- What narrows the bounds of entering: a field of the API, the last update, or only the polls.
    lead(sequence) OVER incident IS NULL AS is_current, -- Whether the incident still is in it.
    created_at, -- When the incident was opened, as the API said then.
    acknowledged_at, -- When somebody took it on, likewise.
    seen_before AS seen_after, -- When the last sync began that saw the state before; null: none did.
    sync_ended AS seen_by -- When the sync that saw this status had read it.
FROM ordered
WINDOW incident AS (PARTITION BY source, id ORDER BY sequence)
ORDER BY source, id, sequence
