"""The sources that a section tries: a project's only one, or the second one of two."""

from faults.judging.outcome import Outcome

FIRST, SECOND = "incidents", "tickets"
SAID = "on a second source: "
ON_A_SECOND_SOURCE = (
    "Cases that begin with `on a second source` are tried on the source `tickets` of a project "
    "whose first source has been synced from another API, with another key. Afterwards, the first "
    "source's tables have to be as they were, its API has been asked nothing, no other API has "
    "heard its key, and its own next sync is green."
)


def name_on(source: str, case: str) -> str:
    """A case's name in the report, if it is tried on this source."""
    return case if source == FIRST else f"{SAID}{case}"


def counted(what: str, outcomes: list[Outcome]) -> dict[str, int | float]:
    """How many cases there are on either source."""
    second = sum(outcome.case.startswith(SAID) for outcome in outcomes)
    return {what: len(outcomes) - second, f"{what}, on a second source": second}
