"""dlt's refusals of a configuration as one message: which setting, where, and what it must be.

dlt's own texts show the value that they refuse, and that may be a secret or a whole table.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from dlt.common.exceptions import DictValidationException, DltException
from jsonpath_ng.exceptions import JSONPathError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.secrets.shown import shown
from incidents_dagster.ingestion.secrets.spellings import is_unmistakable
from incidents_dagster.ingestion.settings_files import Place, SourceSection

# dlt's names of types, in words; all others of its names that matter are tables.
WORDS = {
    "str": "text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "Sequence": "a list",
    "dict": "a table",
}
TABLE = re.compile(r"Config|Dict|Schema$|Options$|Endpoint")
# Settings whose values, or those below them, are or may hold secrets.
UNSHOWN = re.compile(r"auth|headers|params|json|data\b|cookies|session|token|secret|passw|key")
# What dlt calls a table of columns: `new_table.x.columns[a]`.
COLUMNS = re.compile(r"new_table\.(?P<resource>.*)\.columns\[(?P<column>.*)\](?P<hint>.*)")


@contextmanager
def settings_errors(section: SourceSection) -> Iterator[None]:
    """Turns dlt's errors about a configuration into a SettingsError that names the setting."""
    try:
        yield
    except DictValidationException as error:
        fault = _most_telling(error)
        setting = fault.path.strip("./").replace("/", ".")
        place = setting = f"{setting}.{fault.field}" if fault.field else setting
        if found := re.match(r"received unexpected fields `{'(\w+)'", fault.msg):
            place += f".{found[1]}"
        if found := COLUMNS.match(setting):
            place = "resources"
            setting = f"columns.{found['column']}{found['hint']} of {found['resource']}"
        raise SettingsError(refused(_worded(fault, setting), Place(place, section))) from None
    except (DltException, JSONPathError, ValueError, TypeError, KeyError) as error:
        raise SettingsError(refused(str(error), Place(section=section))) from None


def refused(why: str, place: Place) -> str:
    """The message that dlt's rest_api cannot use the setting at `place`."""
    first_line = next(iter(redact(why).splitlines()), "")
    return f"{place.where} is not valid for dlt's rest_api: {first_line}"


def _most_telling(error: DictValidationException) -> DictValidationException:
    # A value that fits none of several shapes has an error for each; the shape that was meant is
    # the one that fits deepest, with no unexpected or missing fields.
    faults = [_most_telling(fault) for fault in error.nested_exceptions or []]
    deeper = [fault for fault in faults if fault.path.count("/") > error.path.count("/")]
    unlikely = ("received unexpected", "missing required")
    return min(deeper, key=lambda f: (f.msg.startswith(unlikely), len(f.msg)), default=error)


def _worded(fault: DictValidationException, setting: str) -> str:
    if fault.field is None:  # names only: unexpected or missing ones
        return f"{setting}: {fault.msg}"
    values, kinds = _fitting(fault)
    one_of = [f"one of {', '.join(map(repr, values))}"] if values else []
    must_be = " or ".join([*one_of, *dict.fromkeys(kinds)])
    given = fault.value
    if isinstance(given, str) and (guess := get_close_matches(given, values, n=1)):
        instead = f"not {given!r}: did you mean {guess[0]!r}?"
    else:  # what is not even of the right shape may be anything
        misshapen = bool(kinds) and {*kinds} <= {"a table", "a list"}
        misshapen &= not values or is_unmistakable(str(given))
        path = setting.partition(" of ")[0].lower()  # without the resource's name
        instead = shown(given, misshapen or bool(UNSHOWN.search(path)))
    return f"{setting} must be {must_be or 'something else'}, {instead}"


def _fitting(fault: DictValidationException) -> tuple[list[str], list[str]]:
    """What dlt accepts: the values that it lists, and kinds of values in words.

    From its text, as `expected_type` is that of an outer table if there are several shapes.
    """
    names: list[str] = []
    if found := re.match(r"field `[^`]*` expects the following types: `\[([^\]]*)\]`", fault.msg):
        names = re.findall(r"'([^']*)'", found[1])
    elif found := re.search(r" is not one of: (\[[^\]]*\])$", fault.msg):
        return re.findall(r"'([^']*)'", found[1]), []
    elif found := re.search(r"while\s+`([^`]+)` is expected$", fault.msg):
        names = [found[1]]
    values = [v for one in fault.nested_exceptions or [] for v in _fitting(one)[0]]
    kinds = [WORDS.get(name) or ("a table" if TABLE.search(name) else "") for name in names]
    return values, list(filter(None, kinds))
