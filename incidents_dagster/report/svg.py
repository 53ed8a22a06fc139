"""Writes a picture as SVG: places are shares of the width and pixels of the height.

So a picture fits any width, and its text stays as large as the page's. Colours are the CSS
variables of the page, so the dark page needs no other picture. ElementTree escapes all texts.
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

# Of a picture that stands alone, such as one in Dagster.
LIGHT = {
    "--ink": "#1b2230",
    "--muted": "#525c6e",
    "--grid": "#d8dde6",
    "--accent": "#2563a8",
    "--second": "#b4510b",
    "--surface": "#ffffff",
}
STYLE = """
svg text{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--ink)}
svg .muted{fill:var(--muted)}
svg .strong{font-weight:600}
svg .grid{stroke:var(--grid);stroke-width:1}
svg .axis{stroke:var(--muted);stroke-width:1}
svg .area{fill:var(--accent)}
svg .area.light{fill:var(--accent);fill-opacity:.3}
svg .area.unknown{fill-opacity:.16}
svg .bar{fill:var(--accent)}
svg .bar.light{fill:var(--accent);fill-opacity:.35}
svg .track{fill:var(--accent);fill-opacity:.12}
svg .hatch{fill:none;stroke:var(--accent);stroke-width:1}
svg .curve{fill:none;stroke-width:2;stroke:var(--accent)}
svg .curve.c0{stroke:var(--ink);stroke-width:3}
svg .curve.c1{stroke:var(--second);stroke-dasharray:7 3}
svg .curve.c2{stroke-dasharray:2 3}
svg .curve.c3{stroke:var(--second);stroke-dasharray:10 3 2 3}
svg .curve.c4{stroke-dasharray:14 4}
svg .curve.c5{stroke:var(--second);stroke-dasharray:4 2 1 2 1 2}
svg .band{fill:var(--ink);fill-opacity:.12}
svg .closed{fill:var(--accent);fill-opacity:.55}
svg .open{fill:var(--surface);stroke:var(--second);stroke-width:1.5}
svg .range{stroke:var(--accent);stroke-width:3}
svg .point{fill:var(--ink)}
svg .cell{fill:var(--accent)}
svg .sleep{fill:none;stroke:var(--muted);stroke-width:1;stroke-dasharray:2 2}
svg .business{fill:none;stroke:var(--muted);stroke-width:1}
"""
CLASSES = re.compile(r"\.([a-z]\w*)(?=[.{])")
SMALL_WIDTH = 480  # pixels, of a picture that stands alone
SCALE = 1000  # of the inner drawings that are stretched to the width


class Svg:
    """A picture in the making.

    Args:
        height: In pixels.
    """

    def __init__(self, height: int) -> None:
        self.height = height
        self._root = ET.Element("svg")

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Words at a place, which is their `start`, `middle` or `end`, on their base line."""
        found = self._add("text", x=_share(x), y=_short(y), anchor=anchor, kind=kind)
        found.text = words

    def line(self, x: float, y: float, to_x: float, to_y: float, kind: str) -> None:
        """A straight line."""
        ends = {"x1": _share(x), "y1": _short(y), "x2": _share(to_x), "y2": _short(to_y)}
        self._add("line", kind=kind, **ends)

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> ET.Element:
        """A rectangle."""
        size = {"width": _share(width), "height": _short(height)}
        return self._add("rect", x=_share(x), y=_short(y), kind=kind, **size)

    def cell(self, x: float, y: float, width: float, height: float, opacity: float) -> None:
        """A cell of a heat map."""
        self.box(x, y, width, height, "cell").set("fill-opacity", _short(opacity))

    def dot(self, x: float, y: float, radius: float, kind: str, told: str = "") -> None:
        """A circle; `told` is shown where a mouse rests on it."""
        place = {"cx": _share(x), "cy": _short(y), "r": _short(radius)}
        found = self._add("circle", kind=kind, **place)
        if told:
            ET.SubElement(found, "title").text = told

    def path(self, points: Sequence[tuple[float, float]], kind: str, filled: bool = False) -> None:
        """A line through points, or the area within."""
        stretched = {
            "width": "100%",
            "height": str(self.height),
            "viewBox": f"0 0 {SCALE} {self.height}",
            "preserveAspectRatio": "none",
            "aria-hidden": "true",  # a part of the picture, not one of its own
        }
        inner = ET.SubElement(self._root, "svg", stretched)
        drawn = " ".join(f"{_short(x * SCALE)},{_short(y)}" for x, y in points)
        ending = "Z" if filled else ""
        found = ET.SubElement(inner, "path", {"d": f"M{drawn}{ending}", "class": kind})
        found.set("vector-effect", "non-scaling-stroke")

    def inline(self, name: str, title: str, described: str) -> str:
        """The picture for a page, with what a screen reader says of it."""
        ids = f"{name}-title", f"{name}-told"
        return self._written(
            {"width": "100%", "role": "img", "aria-labelledby": " ".join(ids)},
            [self._titled("title", title, ids[0]), self._titled("desc", described, ids[1])],
        )

    def alone(self, title: str) -> str:
        """The picture as a file of its own, light and of a fixed width."""
        style = ET.Element("style")
        variables = ";".join(f"{name}:{colour}" for name, colour in LIGHT.items())
        used = {name for one in self._root.iter() for name in one.get("class", "").split()}
        style.text = f"svg{{{variables}}}" + "".join(
            rule for rule in STYLE.splitlines() if {*CLASSES.findall(rule)} <= used
        )
        ground = ET.Element("rect", width="100%", height="100%", fill=LIGHT["--surface"])
        return self._written(
            {"xmlns": "http://www.w3.org/2000/svg", "width": str(SMALL_WIDTH)},
            [self._titled("title", title), style, ground],
        )

    def _written(self, attributes: dict[str, str], before: list[ET.Element]) -> str:
        root = ET.Element("svg", {**attributes, "height": str(self.height)})
        root.extend([*before, *self._root])
        return ET.tostring(root, "unicode")

    def _add(self, tag: str, kind: str, anchor: str = "start", **attributes: str) -> ET.Element:
        found = ET.SubElement(self._root, tag, attributes)
        if kind:
            found.set("class", kind)
        if anchor != "start":
            found.set("text-anchor", anchor)
        return found

    @staticmethod
    def _titled(tag: str, words: str, name: str = "") -> ET.Element:
        found = ET.Element(tag, {"id": name} if name else {})
        found.text = words
        return found


def _share(value: float) -> str:
    return f"{_short(value * 100)}%"


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
