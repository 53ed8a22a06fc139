"""Whether a response names a next page: under the configured path, or under another name.

A list ends when its response no longer has a next page at the configured path. If no response ever
had that path, it may be mistyped, and everything after the first page missing: `why_unproven` then
looks at what surrounds the records. The names are those that public APIs use.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from requests import Response
from requests.utils import parse_header_links

from incidents_dagster.ingestion.reading.counts import more_than
from incidents_dagster.ingestion.reading.envelope import Envelope, beside
from incidents_dagster.ingestion.reading.named_paths import NamedPath
from incidents_dagster.ingestion.reading.page_size import Asked
from incidents_dagster.ingestion.secrets.names import words_of

SHOWN_NAMES = 5

# Words in the name of a next page, and words that give it another meaning.
NEXT = {"next", "after", "cursor", "continuation", "continue", "forward", "older", "scroll"}
NEXT |= {"bookmark", "marker", "more", "resume", "resumption", "evaluated", "seek", "anchor"}
NEXT |= {"pointer", "iterator"}
NEXT_PAIRS = [{"page", "token"}, {"paging", "token"}, {"skip", "token"}, {"page", "state"}]
NEXT_PAIRS += [{"pagination", "token"}]
NEXT_PAIRS += [{"last", "key"}, {"last", "id"}, {"max", "id"}, {"since", "id"}]
OTHER = {"prev", "previous", "sync", "delta", "poll", "update", "info", "at", "filter", "query"}
NOT_NEXT = {"before", "self", "first", "start", "current", "retry", "limit", "count", "size"}
NOT_NEXT |= {"total", "created", "updated", "modified", "changed", "per", "opened", "closed"}
# True says that there are more, and false that there are none.
HAS_MORE = [{"more"}, {"has", "more"}, {"has", "next"}, {"has", "next", "page"}]
HAS_MORE += [{"has", "more", "pages"}, {"has", "more", "results"}, {"more", "available"}]
# The other way round.
IS_LAST = ({"last"}, {"is", "last"}, {"last", "page"}, {"is", "last", "page"})
# What only says something if it is false: there are more. `partial` knows what says so if true.
UNFINISHED = ({"done"}, {"final"}, {"finished"}, {"complete"}, {"end"}, {"eof"})
# A text that may be a token, and words in the name of one that is none.
TOKEN = re.compile(r"(?!\d{4}-\d\d)(?=.*\d)[\w+/=.~-]{8,}", re.ASCII)
IDENTIFIES = {"id", "uuid", "request", "trace", "version", "etag", "hash", "checksum"}


@dataclass(frozen=True)
class Around:
    """What surrounds the records of a list's last response, as far as it is about further pages.

    Attributes:
        values: Path → value of each.
        more: Where it says or suggests that there are more; empty if it does not.
        complete: Whether it says that there are no more.
        flagged: Whether a flag such as `has_more` says that there are.
        named: Whether a name with the word "next" says so, unless a flag says something else.
        token: The path of a text that may be the next page by any name, if this one may be full.
    """

    values: Mapping[str, Any]
    more: str
    complete: bool
    flagged: bool
    named: bool
    token: str

    @classmethod
    def of(
        cls, response: Response, envelope: Envelope, asked: Asked, rows: int, pages: int
    ) -> "Around":
        """Looks at `response`.

        Args:
            response: The last one.
            envelope: Has checked it. Nothing at or below its records is looked at, as a record may
                have any field; and no total, if there is none by the configuration.
            asked: What was asked for.
            rows: Records of the list so far.
            pages: Pages of the list so far.
        """
        around = dict(beside(response.json(), envelope.where))
        for header, text in response.headers.items():
            if text.startswith("{"):  # such as X-Pagination
                with suppress(ValueError):
                    around |= beside({header: json.loads(text)}, envelope.where)
        flags = {path: said for path, v in around.items() if (said := _flag(path, v)) is not None}
        flagged = [path for path, more in flags.items() if more]
        names = [path for path, value in around.items() if _names_next(path, value, asked)]
        names += [
            f"the header {h}" for h, v in response.headers.items() if _names_next(h, v, asked)
        ]
        links = links_in(response)
        names += [f'the header Link with rel="{rel}"' for rel in links if "next" in _words(rel)]
        if pages == 1 and _is_another(links.get("last", ""), links.get("first", "")):
            names.append('the header Link with rel="last"')
        so_far = rows if envelope.total_path else None
        counts = more_than(so_far, pages, around, response)
        if flags:
            more, complete = flagged, not flagged
        else:
            more = names + [path for path, said in counts.items() if said]
            complete = not more and bool(counts)
        token = next((p for p, value in around.items() if _may_be_token(p, value, asked)), "")
        return cls(
            around,
            more[0] if more else "",
            complete,
            flagged=bool(flagged),
            named=any("next" in _words(path) for path in more),
            token=token if asked.may_be_full(rows) else "",
        )

    def why_unproven(self, path: NamedPath, response: Response, shown: bool, cut: bool) -> str:
        """Why more pages may exist than the only one; empty if anything shows that none do.

        Args:
            path: Where the next page is expected; no response had it.
            response: The only one.
            shown: Whether a total, or a page shorter than asked for, shows that none do.
            cut: Whether a page with the path had as many records, in an earlier sync.
        """
        if self.more:
            return f"no response has {path}, but there is {self.more}, so more pages may exist"
        if path.in_body and isinstance(response.json(), list):
            return f"no response can have {path}, as each is a list"
        if shown or self.complete:
            return ""
        if self.token:
            return f"no response has {path}, but {self.token} may be the next page"
        if path.parent_is_in(response) and not cut:
            return ""
        return (
            f"no response has {path}{nearest(path, self)}. If the list has no second page, ask for "
            "more records a page than there are, in endpoint.params (such as limit), or set "
            "accept_unproven = true"
        )


def links_in(response: Response) -> dict[str, str]:
    """The relation (`rel`) of each link in the header Link, as it is written, and its address."""
    header = response.headers.get("Link", "")
    links = [{k.lower(): v for k, v in one.items()} for one in parse_header_links(header)]
    return {link["rel"]: link["url"] for link in links if "rel" in link}


def _is_another(last: str, first: str) -> bool:
    """Whether the link to the last page is none to the first."""
    there, here = (dict(parse_qsl(urlsplit(link).query)) for link in (last, first))
    if there.keys() & here.keys():
        return any(there[name] != here[name] for name in there.keys() & here.keys())
    return any(_words(n) == {"page"} and v.isdigit() and int(v) > 1 for n, v in there.items())


def nearest(path: NamedPath, around: Around) -> str:
    """What a response has instead of `path`, for a message."""
    ends = {name.rpartition(".")[2]: name for name in around.values}
    alike = get_close_matches(path.path, around.values, n=1)
    alike += [ends[end] for end in get_close_matches(path.path.rpartition(".")[2], ends, n=1)]
    if alike:
        return f", but it has {alike[0]}"
    shown = ", ".join([*around.values][:SHOWN_NAMES])
    return f", only {shown} beside the records" if shown else ""


def _words(name: str) -> set[str]:
    return set(words_of(name))


def _flag(path: str, value: Any) -> bool | None:
    """Whether a true or false says that there are more records; None if it says something else."""
    value = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    words = _words(path.rpartition(".")[2])
    if not isinstance(value, bool):
        return None
    if words in HAS_MORE:
        return value
    if words in IS_LAST:
        return not value
    return True if words in UNFINISHED and not value else None


def _names_next(path: str, value: Any, asked: Asked) -> bool:
    if isinstance(value, bool) or not value or str(value) in asked.values or value == "null":
        return False
    words, leaf = _words(path), _words(path.rpartition(".")[2])
    if words & OTHER or (words & NOT_NEXT and "next" not in words):
        return False
    opaque = leaf in NEXT_PAIRS or leaf == {"offset"}
    return bool(words & NEXT) or (opaque and not str(value).isdigit())


def _may_be_token(path: str, value: Any, asked: Asked) -> bool:
    if not isinstance(value, str) or value in asked.values or not TOKEN.fullmatch(value):
        return False
    return not _words(path) & (OTHER | NOT_NEXT | IDENTIFIES)
