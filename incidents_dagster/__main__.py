"""`python -m incidents_dagster`, which is `make run`: starts `run.main` as cheaply as it goes.

Looking for garbage among what is being imported, and once more at the exit, takes a third of the
CPU of a small sync, and finds none.
"""

import gc
import sys

gc.disable()  # until run.main has everything loaded

from incidents_dagster.run import main  # noqa: E402

if __name__ == "__main__":
    status = main()
    gc.freeze()  # the process ends anyway
    sys.exit(status)
