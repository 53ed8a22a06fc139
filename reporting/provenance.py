"""Where the figures of the reports of bench and faults come from: machine, versions, commit."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("dlt", "dagster", "duckdb", "pyarrow", "orjson", "requests")


def machine() -> dict[str, str]:
    """Where the results come from, without naming the machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else ():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    git = ["git", "describe", "--always", "--dirty"]
    here = Path(__file__).parent
    try:
        commit = subprocess.run(git, cwd=here, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        commit = ""
    found = {
        "CPU": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "commit": commit.strip() or "unknown",
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def now() -> str:
    """The time, for beside the figures."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def footer(result: dict[str, Any], command: str) -> str:
    """The line under figures: their `when` and `machine`, and the command that makes them."""
    details = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return f"<sub>{result['when']}; {details}; `{command}`</sub>"
