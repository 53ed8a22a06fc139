"""What a section of the page is: a picture with its words and its figures as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from incidents_dagster.report.svg import Svg


@dataclass(frozen=True)
class Table:
    """Figures as text.

    Attributes:
        headings: Of the columns; the first column has names, the others numbers.
        rows: The cells.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A section of the page.

    Attributes:
        name: For links and metadata, such as `backlog`.
        title: The heading.
        counted: How many incidents it is about.
        reading: What it says, in a sentence made of the figures.
        limits: What it does not show.
        svg: The picture; None: there is nothing to draw, and `reading` says why.
        small: The same with less detail, for Dagster.
        table: Its figures.
    """

    name: str
    title: str
    counted: str
    reading: str
    limits: str
    svg: Svg | None = None
    small: Svg | None = None
    table: Table | None = None

    @property
    def inline(self) -> str:
        """The picture for the page; "" if there is none."""
        told = f"{self.reading} {self.counted}"
        return self.svg.inline(self.name, self.title, told) if self.svg else ""
