"""What can go wrong with a sync, as exceptions whose message says what to do.

Others' exceptions are put into words by `explain`.
"""

from collections.abc import Iterator


class IngestionError(Exception):
    """A sync cannot go on; the message says why and what to do."""


class SettingsError(IngestionError):
    """A setting is missing or wrong; the message names it and where it was looked for."""


class RecordError(IngestionError):
    """The API's records cannot be loaded as a table; the message says what is wrong with them."""


class IncompleteError(IngestionError):
    """The API's responses are not everything; the message says what was seen and expected."""


class MovedError(IncompleteError):
    """Rows moved while pages were read, or the API repeats itself: reading again may help.

    Attributes:
        advice: What to do where it does not.
    """

    advice = (
        "Check the paginator and [completeness] in .dlt/config.toml, or sync at a quieter time."
    )


class RepeatedError(MovedError):
    """A record came more than once, so that another one may be missing."""

    advice = (
        "Have the API sort them by something unique in endpoint.params; where it lists some twice, "
        'or counts more than it shows, set completeness.total_path = "".'
    )


class DatabaseBusyError(IngestionError):
    """The DuckDB file is held by somebody else for longer than a sync or a reader waits."""


class NoDatabaseError(IngestionError):
    """There is no DuckDB file yet, because nothing was ever synced."""


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """`error` and what it came of, without what was left out of it on purpose."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        hidden = error.__suppress_context__  # raised `from None`, because it says too much
        error = error.__cause__ or (None if hidden else error.__context__)
