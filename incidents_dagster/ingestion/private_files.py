"""Who may read what this project writes: its user alone, unless INCIDENTS_UMASK says otherwise.

Incidents are confidential; DuckDB, SQLite and Dagster create files with the umask of the process.
"""

import os
import re

from incidents_dagster.ingestion.errors import SettingsError

VARIABLE = "INCIDENTS_UMASK"
PRIVATE = 0o077  # folders 0700, files 0600
OCTAL = re.compile("0?[0-7]{1,3}")


def keep_private() -> None:
    """Sets this process's umask: to INCIDENTS_UMASK, else so that group and others get nothing.

    Until `check_umask` has refused it, a wrong value counts as none.
    """
    given = os.environ.get(VARIABLE, "")
    present = os.umask(PRIVATE)
    # Without the variable, a stricter umask of the user's stays.
    os.umask(int(given, 8) if OCTAL.fullmatch(given) else present | PRIVATE)


def check_umask() -> None:
    """Raises a SettingsError if INCIDENTS_UMASK is not a umask."""
    given = os.environ.get(VARIABLE, "")
    if given and not OCTAL.fullmatch(given):
        raise SettingsError(
            f"{VARIABLE} must be an octal umask, such as 027, which lets the group read the files."
        )
