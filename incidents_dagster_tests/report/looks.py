"""What a person sees of the report: the page in a browser without a network, and in Dagster."""

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, expect

PICTURES = (
    "Backlog",
    "How long incidents stay open",
    "Open now, by age",
    "When people are disrupted",
    "Noise by service",
    "Time to acknowledge",
    "By severity",
)
WIDE, PHONE, NARROWEST, HEIGHT = 1180, 360, 320, 900
DARKEST = 60  # of 255, each colour of a dark page


def see_the_page(browser: Browser, file: Path, picture: Path) -> None:
    """The page of the demo, wide and narrow, light and dark; takes a picture of its beginning."""
    for width, scheme in ((WIDE, "light"), (PHONE, "dark"), (NARROWEST, "light")):
        context = browser.new_context(
            viewport=ViewportSize(width=width, height=HEIGHT),
            color_scheme="dark" if scheme == "dark" else "light",
            offline=True,
        )
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.on("pageerror", lambda error, said=said: said.append(str(error)))
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto(file.as_uri())
        _see_the_pictures(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert is_dark(page) == (scheme == "dark")
        if width == WIDE:
            _take_the_beginning(page, picture)
        for summary in page.locator("summary").all():
            summary.click()  # the tables are as wide as the page, too
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.emulate_media(media="print")
        assert is_dark(page, "color")
        assert not is_dark(page)
        # Nothing but the page itself, and its empty icon.
        assert [one for one in asked if not one.startswith("data:")] == [file.as_uri()]
        assert said == []
        context.close()


def _see_the_pictures(page: Page) -> None:
    """Each picture is there, and a screen reader has its title and figures."""
    pictures = page.get_by_role("img")
    expect(pictures).to_have_count(len(PICTURES))
    for number, title in enumerate(PICTURES):
        picture = pictures.nth(number)
        expect(picture).to_be_visible()
        expect(picture).to_have_accessible_name(re.compile(rf"^{title} .*\d.*\.", re.DOTALL))
        box = picture.bounding_box()
        assert box
        assert box["width"] > NARROWEST / 2
        tables = page.get_by_role("heading", name=title, exact=True).locator("xpath=..")
        expect(tables.locator("details table tbody tr").first).to_be_attached()


def is_dark(page: Page, what: str = "backgroundColor") -> bool:
    """Whether the page is dark, or its text."""
    colour = page.evaluate(f"getComputedStyle(document.body).{what}")
    return max(int(part) for part in re.findall(r"\d+", colour)[:3]) < DARKEST


def _take_the_beginning(page: Page, picture: Path) -> None:
    """From the first line to the end of the first pictures."""
    first = page.locator("section", has=page.locator("figure")).first.bounding_box()
    assert first
    clip = {"x": 0, "y": 0, "width": WIDE, "height": first["y"] + first["height"] + 16}
    page.screenshot(path=picture, full_page=True, clip=clip)  # type: ignore[arg-type]


def see_it_in_dagster(page: Page, url: str) -> None:
    """The asset's numbers and pictures, and that its page is named."""
    page.goto(f"{url}/assets/incident_report?view=events")

    def cell(key: str) -> str:
        return f"xpath=//tr[td[1][normalize-space()='{key}']]/td[2]"

    expect(page.locator(cell("page"))).to_contain_text("report/index.html")
    for key in ("open", "opened_last_week", "p50_minutes", "coverage"):
        expect(page.locator(cell(key))).to_have_text(re.compile(r"^[0-9.]+$"))
    page.locator(cell("pictures")).get_by_text("Show Markdown").click()
    images = page.get_by_role("dialog").get_by_role("img", name=re.compile("|".join(PICTURES)))
    expect(images).to_have_count(len(PICTURES))
    for image in images.all():
        assert image.evaluate("async (it) => { await it.decode(); return it.naturalWidth; }") > 0
