"""How many examples a property is tried with: a few in `make test`, more in `make test-all`."""

import os


def examples(quick: int, thorough: int) -> int:
    """`thorough` where the environment has `THOROUGH`."""
    return thorough if os.environ.get("THOROUGH") else quick
