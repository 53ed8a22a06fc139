"""What a table has to hold if it equals an emulated vendor's API."""

from datetime import datetime
from typing import Any

from fakes.vendor import Vendor
from fakes.vendor_rows import values_of

COLUMNS = {
    "created": "created_at",
    "updated": "updated_at",
    "acknowledged": "acknowledged_at",
    "resolved": "resolved_at",
}


def expected(vendor: Vendor) -> dict[str, dict[str, Any]]:
    """id → the columns that the list tells about each incident, by the project's names."""
    told, strangers = vendor.dialect["told"], vendor.strangers()
    only = {name: phase for name, phase in told.items() if name != "columns"}
    rows = {}
    for incident in vendor.incidents.values():
        if incident.number in strangers:
            continue
        values = values_of(incident, vendor.dialect)
        names = [*told["columns"], *(n for n, phase in only.items() if phase == values["phase"])]
        rows[str(values["id"])] = {
            "phase": values["phase"],
            **{COLUMNS.get(name, name): _told(values[name]) for name in names},
        }
    return rows


def _told(value: Any) -> Any:
    return value if value is None or isinstance(value, datetime) else str(value)


def open_ones(vendor: Vendor) -> list[int]:
    """The numbers of incidents that are not closed."""
    phases = [status["phase"] for status in vendor.dialect["statuses"]]
    open_phases = ("open", "acknowledged")
    return [n for n, one in vendor.incidents.items() if phases[one.status] in open_phases]
