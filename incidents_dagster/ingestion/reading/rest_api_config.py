"""A source's section for rest_api: spells out short forms, and checks what rest_api does not.

That is what rest_api would accept and then ignore or fail on; `refusals` words what it refuses.
"""

from difflib import get_close_matches
from typing import Any

from dlt.common.schema.typing import TColumnSchema

from incidents_dagster.ingestion.errors import SettingsError
from incidents_dagster.ingestion.reading.field_settings import take_fields
from incidents_dagster.ingestion.reading.json_paths import check_paths, quoted
from incidents_dagster.ingestion.reading.refusals import refused
from incidents_dagster.ingestion.secrets.placeholders import double_braces, stray_brace
from incidents_dagster.ingestion.settings_files import Place, SourceSection

# What dlt knows about a column.
HINTS = sorted(TColumnSchema.__annotations__)


def endpoints(api: dict[str, Any], section: SourceSection) -> list[dict[str, Any]]:
    """Every endpoint in `api` as a dict, its short forms spelled out in place.

    What is no key of rest_api's becomes hints of columns: see `field_settings`.

    Args:
        api: Changed in place.
        section: Whose it is.

    Raises:
        SettingsError: There is a value that rest_api would accept and then fail on.
    """
    api["resources"] = [{"name": r} if isinstance(r, str) else r for r in api["resources"]]
    for number, resource in enumerate(api["resources"]):
        place = Place(f"resources[{number}]", section)
        _check_columns(resource.get("columns") or {}, place / "columns")
        take_fields(resource, place)
    holders = {Place(f"resources[{n}]", section): one for n, one in enumerate(api["resources"])}
    defaults = Place("resource_defaults", section)
    holders[defaults] = api.setdefault("resource_defaults", {})
    for place, holder in holders.items():
        endpoint = holder.get("endpoint", {})
        if not isinstance(endpoint, (str, dict)):
            raise SettingsError(
                refused(f"{place}.endpoint must be a table or a path", place / "endpoint")
            )
        holder["endpoint"] = {"path": endpoint} if isinstance(endpoint, str) else endpoint
    _check_columns(holders[defaults].get("columns") or {}, defaults / "columns")

    endpoints = [holder["endpoint"] for holder in holders.values()]
    double_braces(api["client"], formatted=False)
    for place, endpoint in zip(holders, endpoints, strict=True):
        double_braces(endpoint)
        if part := stray_brace(endpoint):
            why = (
                f"endpoint.{part} has a brace that begins no placeholder: write {{{{ or }}}} for it"
            )
            raise SettingsError(refused(why, place))
    for place, holder in zip(
        [Place("client", section), *holders], [api["client"], *endpoints], strict=True
    ):
        paginator = holder.get("paginator")
        limit = paginator.get("limit", 1) if isinstance(paginator, dict) else 1
        if isinstance(limit, int) and limit < 1:
            raise SettingsError(refused(f"paginator: limit={limit} is below 1", place))
        params = holder.get("params")
        values = params.values() if isinstance(params, dict) else ()
        for incremental in (holder.get("incremental"), *values):
            if isinstance(incremental, dict) and "cursor_path" in incremental:
                incremental["cursor_path"] = quoted(incremental["cursor_path"])
        check_paths(holder, ["data_selector"], "", place)
        if isinstance(paginator, dict):
            paths = [name for name in paginator if name.endswith("_path")]
            check_paths(paginator, paths, "paginator.", place)
    return endpoints


def needed_for(name: str, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Resource `name` and those that its requests take values from, as its endpoint names them."""
    endpoints = {r["name"]: str(r["endpoint"]) for r in resources}
    needed = [name]
    for wanted in needed:  # grows meanwhile
        needed += [o for o in endpoints if o in endpoints[wanted] and o not in needed]
    return [resource for resource in resources if resource["name"] in needed]


def _check_columns(columns: Any, table: Place) -> None:
    """Refuses hints that dlt ignores or fails on; dlt itself checks their values.

    `table` is what messages call the columns, such as `resources[0].columns`.
    """
    if not isinstance(columns, (dict, list)):
        raise SettingsError(refused(f"{table} is not a table", table))
    for place, hints in columns.items() if isinstance(columns, dict) else enumerate(columns):
        column = f"{table}.{place}" if isinstance(columns, dict) else f"{table}[{place}]"
        if not isinstance(hints, dict):
            raise SettingsError(refused(f"{column} is not a table", table))
        name = hints.get("name", place)
        # dlt takes `columns.state.name`, a table, for the column's name, and ignores it.
        nested = [hint for hint, value in hints.items() if isinstance(value, dict)]
        nested = [hint for hint in nested if not hint.startswith("x-")]
        if nested or not isinstance(name, str) or (isinstance(columns, dict) and name != place):
            hint = nested[0] if nested else "name"
            raise SettingsError(
                refused(
                    f"{column}.{hint} is not a hint of a column. A column is a field at the top "
                    "level of the records; nested values are JSON, so they have no columns",
                    table,
                )
            )
        if unknown := [h for h in hints if h not in HINTS and not h.startswith("x-")]:
            guess = get_close_matches(unknown[0], HINTS, n=1)
            advice = f"did you mean {guess[0]!r}?" if guess else f"known are {', '.join(HINTS)}."
            raise SettingsError(refused(f"{column}.{unknown[0]} is unknown: {advice}", table))
