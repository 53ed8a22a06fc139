"""What can go wrong with a sync, as exceptions whose message says what to do.

`explain` describes the exceptions of other libraries.
"""

from collections.abc import Iterator
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


class IngestionError(Exception):
    """A sync cannot continue; the message says why and what to do."""


class SettingsError(IngestionError):
    """A setting is missing or wrong; the message names it and the places that were searched."""


class RecordError(IngestionError):
    """The API's records cannot be loaded as a table; the message says what is wrong with them."""


class IncompleteError(IngestionError):
    """Records are missing, or may be; the message says what arrived and what was expected."""


class CeilingError(IncompleteError):
    """A list has more records than the API shows of one.

    Attributes:
        certain: Whether it has; else the page after the last one may be beyond what it shows.
    """

    certain = True


class MovedError(IncompleteError):
    """Rows moved while pages were read, or the API repeats itself: reading again may help.

    Attributes:
        advice: What to do if it does not.
    """

    advice = (
        "Check the paginator, primary_key and [completeness] in .dlt/config.toml, or sync at a "
        "quieter time."
    )


class RepeatedError(MovedError):
    """A record arrived more than once, so another one may be missing."""

    advice = (
        "Check primary_key, and have the API sort by a unique field, in endpoint.params. If it "
        'counts more than it shows, set completeness.total_path = "".'
    )


class DatabaseBusyError(IngestionError):
    """The DuckDB file stayed in use for longer than a sync or a reader waits."""


class NoDatabaseError(IngestionError):
    """There is no DuckDB file yet, because nothing has been synced."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and what caused it, except causes that were hidden on purpose."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        hidden = error.__suppress_context__  # raised `from None`, as the cause says too much
        error = error.__cause__ or (None if hidden else error.__context__)


def cause_of(error: BaseException, *kinds: type[E]) -> E | None:
    """The first of its `causes` that is of one of these kinds; None if there is none."""
    return next((cause for cause in causes(error) if isinstance(cause, kinds)), None)
