"""`[sources.incidents]` for rest_api: spells out short forms, and names the settings it rejects.

Checks only what rest_api would accept and then fail on; it checks the rest itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common import jsonpath
from dlt.common.exceptions import DictValidationException, DltException
from jsonpath_ng.exceptions import JSONPathError

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.secrets.placeholders import double_braces
from incidents_dagster.ingestion.secrets.redaction import redact
from incidents_dagster.ingestion.settings_files import SECTION, config_file


def endpoints(api: dict[str, Any]) -> list[dict[str, Any]]:
    """Every endpoint in `api` as a dict, its short forms spelled out in place.

    Raises:
        SettingsError: There is a value that rest_api would accept and then fail on.
    """
    api["resources"] = [{"name": r} if isinstance(r, str) else r for r in api["resources"]]
    holders = {f"resources[{n}]": resource for n, resource in enumerate(api["resources"])}
    holders["resource_defaults"] = api.setdefault("resource_defaults", {})
    for where, holder in holders.items():
        endpoint = holder.get("endpoint", {})
        if not isinstance(endpoint, (str, dict)):
            raise SettingsError(refused(f"{where}.endpoint is neither a table nor a path"))
        holder["endpoint"] = {"path": endpoint} if isinstance(endpoint, str) else endpoint
        columns = holder.get("columns", {})
        for name, hints in columns.items() if isinstance(columns, dict) else ():
            if not isinstance(hints, dict):
                raise SettingsError(refused(f"{where}.columns.{name} is not a table"))

    endpoints = [holder["endpoint"] for holder in holders.values()]
    double_braces(api["client"], formatted=False)
    for endpoint in endpoints:
        double_braces(endpoint)
    for holder in [api["client"], *endpoints]:
        paginator = holder.get("paginator")
        limit = paginator.get("limit", 1) if isinstance(paginator, dict) else 1
        if isinstance(limit, int) and limit < 1:
            raise SettingsError(refused(f"paginator: limit={limit} is below 1"))
        _quote(holder, "data_selector")
        params = holder.get("params")
        values = params.values() if isinstance(params, dict) else ()
        for incremental in (holder.get("incremental"), *values):
            if isinstance(incremental, dict):
                _quote(incremental, "cursor_path")
        selector = holder.get("data_selector")
        if isinstance(selector, str) and selector and not is_jsonpath(selector):
            raise SettingsError(refused(f"data_selector {selector!r} is not a JSONPath"))
    return endpoints


def needed_for(name: str, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Resource `name` and those that its requests take values from, as its endpoint names them."""
    endpoints = {r["name"]: str(r["endpoint"]) for r in resources}
    needed = [name]
    for wanted in needed:  # grows meanwhile
        needed += [o for o in endpoints if o in endpoints[wanted] and o not in needed]
    return [resource for resource in resources if resource["name"] in needed]


def is_jsonpath(path: str) -> bool:
    """Whether dlt can parse `path`."""
    try:
        jsonpath.compile_path(path)
    except JSONPathError:
        return False
    return True


def _quote(settings: dict[str, Any], name: str) -> None:
    """Quotes names in another script in a JSONPath, which dlt takes for a mistake otherwise."""
    path = settings.get(name)
    if isinstance(path, str) and not path.isascii() and not is_jsonpath(path):
        settings[name] = ".".join(
            part if part.isascii() else f"'{part}'" for part in path.split(".")
        )


@contextmanager
def settings_errors() -> Iterator[None]:
    """Turns dlt's errors about a configuration into a SettingsError that names the setting."""
    try:
        yield
    except DictValidationException as error:
        fault = _most_telling(error)
        setting = fault.path.strip("./").replace("/", ".")
        raise SettingsError(refused(f"{setting}: {fault.msg}")) from None
    except (DltException, ValueError, TypeError, KeyError) as error:
        raise SettingsError(refused(str(error))) from None


def refused(why: str) -> str:
    first_line = next(iter(redact(why).splitlines()), "")
    return f"[{SECTION}] of {config_file()} is not valid for dlt's rest_api: {first_line}"


def _most_telling(error: DictValidationException) -> DictValidationException:
    # A value that fits none of several shapes has an error for each; the shape that was meant is
    # the one that fits deepest, with no unexpected or missing fields.
    faults = [_most_telling(fault) for fault in error.nested_exceptions or []]
    deeper = [fault for fault in faults if fault.path.count("/") > error.path.count("/")]
    unlikely = ("received unexpected", "missing required")
    return min(deeper, key=lambda f: (f.msg.startswith(unlikely), len(f.msg)), default=error)
