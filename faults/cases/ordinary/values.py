"""Values stay whole: digits that a double cannot hold, nanoseconds, and what is bent nevertheless.

What does not stay whole has to be an exception that the README names.
"""

import json
from collections.abc import Callable

from fakes.incident_pages import Raw
from faults.cases.ordinary.case import Case, record
from faults.running.project import ROOT
from faults.running.stories import Story, WrongError


def digits(spelled: str, exception: str, nested: bool = False) -> Callable[[Story], None]:
    """Each record has a value that is spelled like this.

    Args:
        spelled: In JSON.
        exception: A word that README has if the value is bent.
        nested: Whether it is inside an object.
    """

    def story(story: Story) -> None:
        value = f'{{"exact": {spelled}}}' if nested else spelled
        rows = [{**record(n), "value": 0} for n in range(1, 6)]
        told = [json.dumps(row).replace('"value": 0', f'"value": {value}') for row in rows]
        story.api.rows = [Raw(text) for text in told]
        story.sync("loaded")
        story.sync("loaded", mode="full_refresh")
        found = {str(row.get("value")) for row in story.table()}
        for row in story.table():
            variants = [c for n, c in row.items() if n.startswith("value__v_") and c is not None]
            found |= {str(cell) for cell in variants}
        plain = spelled.strip('"')
        whole = any(plain in cell for cell in found)
        if not whole and exception not in _promise():
            raise WrongError(f"{plain} is {sorted(found)}, and README has no exception for it")

    return story


def _promise() -> str:
    """What README says of values."""
    text = (ROOT / "README.md").read_text()
    return text.partition("## The table")[2].partition("\n## ")[0]


CASES = [
    Case("20 digits after the point", digits("0.12345678901234567891", "double")),
    Case("a price of 21 digits", digits("12345678901234567.8912", "double")),
    Case("an exponent", digits("1.00000000000000000001e5", "double")),
    Case("20 digits inside an object", digits("0.12345678901234567891", "double", nested=True)),
    Case("2^64 and more", digits("18446744073709551617", "64 bits")),
    Case("2^64 and more inside an object", digits("18446744073709551617", "64 bits", nested=True)),
    Case("nanoseconds", digits('"2024-03-01T00:00:00.123456789Z"', "microsecond")),
    Case(
        "nanoseconds inside an object",
        digits('"2024-03-01T00:00:00.123456789Z"', "microsecond", nested=True),
    ),
    Case("ten digits of a second", digits('"2024-03-01T00:00:00.1234567891+02:00"', "microsecond")),
]
