"""Whoever imports this writes the stages of its syncs to standard output, a line each.

So do the processes that it syncs sources in.
"""

import os

from faults.running.marked import mark_stages
from faults.running.preloading import in_every_process

in_every_process(__name__)
mark_stages(lambda stage: os.write(1, f"@{stage}\n".encode()))
