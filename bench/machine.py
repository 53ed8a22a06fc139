"""Where figures come from: the machine, the versions, the commit."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
