"""One to three random changes of a good answer.

In the spirit of schemathesis: at any node of the JSON, or of its bytes.
"""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from fakes.incident_pages import as_json

ODD: tuple[Any, ...] = (None, "", "x", "0", 0, -1, 1.5, True, False, [], {}, 10**20, [None], [{}])

Choose = random.Random
Place = tuple[Any, Any]  # a dict and a key of it, or a list and an index


def _places(tree: Any, depth: int = 0) -> Iterator[tuple[int, Place]]:
    entries: Any = ()
    if isinstance(tree, dict):
        entries = list(tree.items())
    elif isinstance(tree, list):
        entries = list(enumerate(tree))
    for key, value in entries:
        yield depth, (tree, key)
        yield from _places(value, depth + 1)


def _place(body: Any, choose: Choose) -> Place:
    """A node: any depth is as likely as any other, or the many fields would hide the few keys."""
    places = list(_places(body))
    depth = choose.choice(sorted({depth for depth, _ in places}))
    return choose.choice([place for at, place in places if at == depth])


def _rename(holder: Any, key: Any, choose: Choose) -> None:
    if isinstance(holder, dict):
        name = choose.choice([key.upper(), key + "_", key[:-1], "", "_dlt_id", "error"])
        holder[name] = holder.pop(key)


def _number(holder: Any, key: Any, choose: Choose) -> None:
    value = holder[key]
    if isinstance(value, (int, float)):
        holder[key] = choose.choice([value + 1, value - 1, -value, value * 1000, value + 0.5])


def _unwrap(holder: Any, key: Any, _: Choose) -> None:
    value = holder[key]
    if isinstance(value, (dict, list)) and value:
        holder[key] = next(iter(value.values() if isinstance(value, dict) else value))


def _wrap(holder: Any, key: Any, choose: Choose) -> None:
    holder[key] = choose.choice([[holder[key]], {"value": holder[key]}])


def _delete(holder: Any, key: Any, _: Choose) -> None:
    del holder[key]


def _odd(holder: Any, key: Any, choose: Choose) -> None:
    holder[key] = copy.deepcopy(choose.choice(ODD))


def _items(holder: Any, key: Any, choose: Choose) -> None:
    items = holder if isinstance(holder, list) else holder[key]
    if isinstance(items, list) and items:
        at = choose.randrange(len(items))
        change = choose.choice(["drop", "half", "repeat", "reorder"])
        if change == "drop":
            del items[at]
        elif change == "half":
            del items[at:]
        elif change == "repeat":
            items.insert(choose.randrange(len(items)), copy.deepcopy(items[at]))
        else:
            choose.shuffle(items)


NODES: dict[str, Callable[[Any, Any, Choose], None]] = {
    "deleted": _delete,
    "odd value": _odd,
    "number changed": _number,
    "renamed": _rename,
    "wrapped": _wrap,
    "unwrapped": _unwrap,
    "items changed": _items,
}
PAIRS = ("swapped", "replaced by another part")
BYTES = ("cut off", "a bit flipped", "bytes inserted", "bytes removed")


def mutated(body: Any, choose: Choose) -> bytes:
    """A good answer's JSON with one to three changes.

    Args:
        body: The answer; stays as it is.
        choose: Makes every choice: `random.Random(seed)`, or Hypothesis' `randoms()`, which
            shrinks what it finds.
    """
    body = {"answer": copy.deepcopy(body)}
    for _ in range(choose.randint(1, 3)):
        kind = choose.choice([*NODES, *PAIRS, "bytes"])
        if kind == "bytes":
            return _of_bytes(as_json(body.get("answer")), choose)
        if not list(_places(body)):
            break
        holder, key = _place(body, choose)
        if kind in NODES:
            NODES[kind](holder, key, choose)
            continue
        other, at = _place(body, choose)
        one, two = holder[key], copy.deepcopy(other[at])
        if kind == "swapped" and not _holds(one, other) and not _holds(other[at], holder):
            other[at] = one
        holder[key] = two
    return as_json(body.get("answer"))


def _holds(tree: Any, holder: Any) -> bool:
    return tree is holder or any(found[key] is holder for _, (found, key) in _places(tree))


def _of_bytes(sent: bytes, choose: Choose) -> bytes:
    at, kind = choose.randrange(len(sent)), choose.choice(BYTES)
    if kind == "cut off":
        return sent[:at]
    if kind == "a bit flipped":
        return sent[:at] + bytes([sent[at] ^ 1 << choose.randrange(8)]) + sent[at + 1 :]
    if kind == "bytes inserted":
        more = choose.choice([b"\0", b"\xff", b'"', b"{", b"]", b",", b"9", b" ", b"\\u0000"])
        return sent[:at] + more + sent[at:]
    return sent[:at] + sent[at + choose.randint(1, 40) :]
