"""The page: sensible with nothing to show, safe whatever an API says, never half written."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from incidents_dagster.ingestion.errors import IngestionError
from incidents_dagster.ingestion.secrets.redaction import GONE, remember
from incidents_dagster.ingestion.warehouse.file_store import FileStore
from incidents_dagster.report.figures import read as figures_of
from incidents_dagster.report.page import page_path, rendered, write
from incidents_dagster.report.pictures.all_pictures import pictures
from incidents_dagster.report.pictures.arrivals import MOST_OPACITY
from incidents_dagster.report.words import NBSP, duration, link, share
from incidents_dagster_tests.examples import examples
from incidents_dagster_tests.insight.seen import PHASES, Seen, at, built, opened

Page = Callable[..., str]
SECRET = "k3y-9f8e7d6c5b4a-of-the-api"
NO_FIGURE = re.compile(r"NaN|\bNone\b|\binf\b|-\d")  # nor a negative number
EMPTY_ELEMENTS = {"meta", "link", "br"}


class Structure(HTMLParser):
    """What a browser finds in a page: elements that are left open, links, sources, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in EMPTY_ELEMENTS:
            self.open.append(tag)
        given = dict(attrs)
        self.links += [given[name] or "" for name in ("href", "src") if name in given]
        if given.get("role") == "img":
            self.pictures.append(given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += f" {data}"


def read(html: str) -> str:
    """The text of a page, on one line; every element of it is closed."""
    found = Structure(html)
    assert found.open == []
    return " ".join(found.text.split())


def test_without_incidents_the_page_says_so_and_shows_no_figure(seen: Seen, page: Page) -> None:
    seen.sync(1)
    text = read(page())
    assert "Proven complete until 2026-03-02 01:00 UTC: 0 incidents, read by 1 sync" in text
    assert "There are no incidents to compare." in text
    assert "There are no incidents." in text
    assert not re.search(r"\b0(\.0)? (min|h|d)\b|within 0|NaN|None|inf\b", text)


def test_the_backlog_shows_no_phase_before_the_first_sync_unless_the_api_gives_times(
    seen: Seen, page: Page
) -> None:
    closed = opened("A", 0, status="done", resolved_at=at(25))
    seen.sync(73, closed, opened("B", 1, status="working"))
    assert "phase unknown" in read(page())
    again = Seen(seen.file.with_name("again.duckdb"))
    again.sync(73, {**closed, "acknowledged_at": at(2)}, opened("B", 1, status="working"))
    built(again)
    shown = figures_of(FileStore(again.file), 5.0)
    assert "phase unknown" not in read(rendered(shown, pictures(shown)))


def test_one_open_incident_is_not_reached_rather_than_a_number(seen: Seen, page: Page) -> None:
    seen.sync(30, opened("A", 1, title="The only one"))
    html = page()
    text = read(html)
    assert "1 open" in text
    assert "The time by which half are resolved is not reached yet." in text
    assert "1 of 1 have been open" not in text
    assert "the oldest for 29 h: “The only one”" in text
    assert "Nothing shows an acknowledgement" in text
    assert "Poisson" in text
    assert Structure(html).pictures
    assert not re.search(r"NaN|\bNone\b|\binf\b|half resolved within 0", text)


def test_an_age_that_is_not_known_is_neither_short_nor_none(seen: Seen, page: Page) -> None:
    unknown = {"id": "A", "status": "new", "updated_at": at(1)}
    seen.sync(30, unknown)
    text = read(page())
    assert "unknown the oldest open" in text
    assert "unknown half resolved within" in text
    assert "How long they have been open is not known." in text
    seen.sync(99, opened("B", 1, title="Old"), opened("C", 98, status="done"))
    text = read(page())
    assert "1 of 1 have been open for 3 days or longer; the oldest for 4.1 d: “Old”." in text
    assert "Of 1, that is not known." in text
    assert "picked by chance" not in text


def test_statuses_without_a_phase_are_told_and_counted_nowhere_else(seen: Seen, page: Page) -> None:
    seen.sync(1, opened("A", 0, status="in orbit"), opened("B", 0, status="lost"))
    text = read(page())
    assert (
        "2 of 2 incidents have a status without a phase, and are in no figure of what is open or "
        "closed: “in orbit” and “lost”."
    ) in text
    assert "No incident is open." in text
    assert "2 without times or a phase are in no curve" in text


def test_what_is_not_proven_is_told(seen: Seen, page: Page) -> None:
    seen.sync(1, opened("A", 0), proven=False)
    text = read(page())
    assert "1 incident, of which no sync is proven." in text
    assert "Not proven: incidents. 1 incident changed" in text


def test_several_sources_have_a_line_of_trust_each(seen: Seen, page: Page) -> None:
    other = Seen(seen.file, "tickets")
    seen.sync(2, opened("A", 1, service="web"))
    other.sync(3, opened("A", 1, service="web"), opened("B", 1))
    text = read(page(other))
    assert "incidents: Proven complete until 2026-03-02 02:00 UTC: 1 incident" in text
    assert "tickets: Proven complete until 2026-03-02 03:00 UTC: 2 incidents" in text
    assert "tickets: web" in text
    assert "By source" in text


def test_noise_is_what_is_known_of_it(seen: Seen, page: Page) -> None:
    seen.sync(30, *(opened(str(n), n, status="done") for n in range(5)))
    text = read(page())
    assert "It is not known how many were short-lived." in text
    assert "no service 5 unknown 0 unknown" in text
    assert "older than the first sync" not in text  # without a curve
    seen.sync(40, opened("A", 31, title="Disk full"), opened("B", 32, title="Disk full"))
    text = read(page())
    assert "0 % of the 2 of which that is known were short-lived" in text
    assert "14 % of all repeated within a day" in text
    assert "none that is older than the first sync is in a curve" in text


def test_services_of_several_sources_are_told_apart(seen: Seen, page: Page) -> None:
    other = Seen(seen.file, "tickets_of_customers")
    seen.sync(2, opened("A", 1, service="web"))
    long = [opened(str(n), 1, service=f"payments-platform-checkout-{n}") for n in range(2)]
    other.sync(3, opened("A", 1, service="web"), opened("B", 1, service="database"), *long)
    text = read(page(other))
    assert text.count("tickets_of_customers: web") == 2  # in the picture, too
    assert text.count("tickets_of_customers: database") == 2
    assert "tickets_of_custo…atform-checkout-0" in text
    assert "tickets_of_custo…atform-checkout-1" in text


def test_the_key_of_a_curve_has_room_for_its_median_on_a_phone(seen: Seen, page: Page) -> None:
    names = ("s" * 30, "high")
    rows = [opened(str(n), n, severity=names[n % 2]) for n in range(24)]
    seen.sync(30, *rows)
    text = read(page())
    assert f"{'s' * 20}…: 12 half not reached" in text
    assert "high: 12, 12 open half not reached" in text


def test_an_acknowledgement_is_of_its_source(seen: Seen, page: Page) -> None:
    other = Seen(seen.file, "tickets")
    seen.sync(2, opened("A", 1, status="working", acknowledged_at=at(1.5)))
    other.sync(3, opened("A", 1))
    text = read(page(other))
    assert "Half of incidents are acknowledged within 30 min" in text
    assert "acknowledgements known" not in text


def test_what_an_api_says_is_text_and_links_lead_to_the_web_alone(seen: Seen, page: Page) -> None:
    remember(SECRET)
    script = "<script>alert(1)</script>"
    seen.sync(
        30,
        opened("A", 1, title=f"{script} & “x”", severity='"><img src=x>', service=script),
        opened("B", 2, title=f"token={SECRET}", status="new"),
        opened("C", 3, title="\x1b[31mred\u202e"),
    )
    html = page()
    found = Structure(html)
    assert read(html)
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; “x”" in html
    assert SECRET not in html
    assert f"token={GONE}" in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert all(one == "data:," for one in found.links), found.links


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.com/incidents/1?x=1", True),
        ("http://tracker/1", True),
        ("javascript:alert(1)", False),
        ("JavaScript:alert(1)", False),
        ("data:text/html,x", False),
        ("//example.com/x", False),
        ("https:///x", False),
        ("https://user:pass@example.com/x", False),
        (f"https://example.com/?key={SECRET}", False),
        ("https://[", False),
        (None, False),
    ],
)
def test_links_are_http_without_secrets(url: str | None, kept: bool) -> None:
    remember(SECRET)
    assert link(url) == (url if kept else "")


def test_times_and_shares_never_round_to_what_they_are_not() -> None:
    told = [duration(one).replace(NBSP, " ") for one in (0.4, 1, 45, 150, 2880, 15000, None)]
    assert told == ["under 1 min", "1 min", "45 min", "2.5 h", "2 d", "10 d", "not reached"]
    shares = [share(one).replace(NBSP, " ") for one in (0, 0.001, 0.5, 0.999, 1, None)]
    assert shares == ["0 %", "under 1 %", "50 %", "over 99 %", "100 %", "unknown"]


def test_the_page_asks_for_nothing(seen: Seen, page: Page) -> None:
    seen.sync(30, opened("A", 1), opened("B", 2, status="done", resolved_at=at(20)))
    html = page()
    found = Structure(html)
    assert "default-src 'none'" in html
    assert not {"script", "iframe", "object", "img"} & {*found.tags}
    assert "url(" not in html
    assert "@import" not in html


def test_a_reader_has_the_old_page_or_the_new_one(tmp_path: Path) -> None:
    path = page_path(FileStore(tmp_path / "some.duckdb"))
    assert path == tmp_path / "report" / "index.html"
    write("old", path)
    with path.open() as reader:
        write("new", path)
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert [one.name for one in path.parent.iterdir()] == ["index.html"]
    assert path.stat().st_mode & 0o077 == 0


def test_a_page_that_cannot_be_written_is_told_in_a_line_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "report").write_text("a file in the way")
    with pytest.raises(
        IngestionError, match=r"cannot be written to .*index.html: .*make room for it there\.$"
    ):
        write("new", page_path(FileStore(tmp_path / "some.duckdb")))
    (tmp_path / "report").unlink()
    (tmp_path / "report" / "index.html").mkdir(parents=True)
    with pytest.raises(IngestionError, match="cannot be written"):
        write("new", page_path(FileStore(tmp_path / "some.duckdb")))
    assert [one.name for one in (tmp_path / "report").iterdir()] == ["index.html"]


def luminance(colour: tuple[float, ...]) -> float:
    """The relative luminance of WCAG 2, of red, green and blue from 0 to 1."""
    parts = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The contrast of WCAG 2; AA is 4.5 for text."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_texts_are_legible_in_the_light_and_in_the_dark(seen: Seen, page: Page) -> None:
    seen.sync(1)
    palettes = re.findall(r":root\{([^}]*--ink[^}]*)\}", page())
    assert len(palettes) == 2
    for palette in palettes:
        colours = {
            name: tuple(int(value[at : at + 2], 16) / 255 for at in (0, 2, 4))
            for name, value in re.findall(r"--(\w+):#(\w{6})", palette)
        }
        for text in ("ink", "muted", "accent", "second"):
            for ground in ("surface", "page"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        both = zip(colours["accent"], colours["surface"], strict=True)
        darkest = tuple(MOST_OPACITY * a + (1 - MOST_OPACITY) * b for a, b in both)
        assert contrast(colours["ink"], darkest) >= 4.5
        assert contrast(colours["accent"], colours["surface"]) >= 3


# Hours since the one before, which incident, what becomes of it, and how long ago that began.
HISTORIES = strategies.lists(
    strategies.tuples(
        strategies.integers(0, 400),
        strategies.integers(0, 4),
        strategies.sampled_from([*PHASES, "odd", "deleted"]),
        strategies.sampled_from([None, 0, 1, 100, 3000]),
    ),
    max_size=12,
)


@hypothesis.settings(
    deadline=None,
    max_examples=examples(4, 15),
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(history=HISTORIES)
def test_whatever_was_seen_the_page_shows_it_without_a_figure_that_is_none(
    history: list[tuple[int, int, str, int | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    sources = [Seen(folder / "any.duckdb"), Seen(folder / "any.duckdb", "tickets")]
    now, known = 0.0, set()
    for source in sources:
        source.sync(now)
    for hours, number, status, ago in history:
        now += hours
        source, name = sources[number % 2], str(number)
        if status == "deleted":
            if name in known:
                source.sync(now, {"id": name, "deleted": True})
            continue
        row = {"id": name, "status": status, "updated_at": at(now), "severity": f"sev{number}"}
        if name not in known:
            row["created_at"] = None if ago is None else at(now - ago)
        known.add(name)
        source.sync(now, row, proven=number != 3)
    built(*sources)
    figures = figures_of(FileStore(folder / "any.duckdb"), 5.0)
    text = re.sub(r"\d{4}-\d\d(-\d\d)?", "", read(rendered(figures, pictures(figures))))
    assert not NO_FIGURE.search(text), text
