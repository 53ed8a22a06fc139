"""Column names for the API's field names, as a naming convention of dlt.

Latin names become dlt's snake_case: `createdAt` → `created_at`. Names with letters of another
script keep them, in lower case: `Статус` → `статус`. Several fields may have the same name here;
`rows.fields` gives each a column of its own.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from hashlib import sha256

from dlt.common.normalizers.naming.snake_case import NamingConvention as SnakeCase

# Categories of Unicode: letters, marks (the vowels of several scripts), numbers.
KEPT = ("L", "M", "N")
LATIN_ENDS = 0x370  # all letters of Latin-1 and its next extensions are below; Greek begins here
TAG_CHARACTERS = 8
# PostgreSQL cuts names after 63 bytes, and dlt may add `__v_timestamp` to one.
MOST_BYTES = 63 - len("__v_timestamp")


class NamingConvention(SnakeCase):
    """dlt's snake_case, which makes `x` of any name without a Latin letter, for all scripts."""

    def normalize_identifier(self, identifier: str) -> str:
        """A name without `__`, in lower case, so that DuckDB cannot take two for one."""
        name = identifier if identifier.isascii() else _lower(identifier)
        if not any(map(_of_another_script, name)):
            return super().normalize_identifier(identifier)
        name = "".join(c if unicodedata.category(c)[0] in KEPT else "_" for c in name)
        name = re.sub("__+", "_", name).rstrip("_")
        return self.shorten_identifier(name, identifier, self.max_length)


NAMING = NamingConvention()


def column_name(field: str) -> str:
    """The column that a field gets if no other field has it."""
    name = NAMING.normalize_path(field) or "_empty"  # as dlt does
    return short(name, field)


def short(name: str, field: str) -> str:
    """`name` for a column of `field`, tagged if it is too long for PostgreSQL."""
    return tagged(name, field) if len(name.encode()) > MOST_BYTES else name


def tagged(name: str, field: str) -> str:
    """A column for `field` if another one has the column `name`: always the same, as in
    `created_at__f_9d2b6f01`."""
    digest = sha256(field.encode("utf-8", "surrogatepass")).hexdigest()
    tag = f"__f_{digest[:TAG_CHARACTERS]}"
    return f"{_cut(name, MOST_BYTES - len(tag))}{tag}"


def columns_of(fields: Iterable[str]) -> dict[str, str]:
    """Field → its column, for fields that the configuration names."""
    columns: dict[str, str] = {}
    for field in sorted(fields, key=lambda field: (field != column_name(field), field)):
        name = column_name(field)
        columns[field] = tagged(name, field) if name in columns.values() else name
    return columns


def _cut(name: str, most: int) -> str:
    """The beginning of a name, in whole characters, without a `_` at its end if it was cut."""
    if len(name.encode()) <= most:
        return name
    return name.encode()[:most].decode(errors="ignore").rstrip("_")


@cache
def _of_another_script(character: str) -> bool:
    return (
        ord(character) >= LATIN_ENDS
        and character.isalpha()
        and not unicodedata.name(character, "").startswith("LATIN")
    )


def _lower(text: str) -> str:
    # Again and again, as composing may make another letter of two: the name of a column is that
    # column's own name.
    while (lower := unicodedata.normalize("NFC", text.lower())) != text:
        text = lower
    return text
