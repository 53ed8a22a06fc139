"""Run by `.venv-survival`'s Python: the quantiles of curves by lifelines, from JSON to JSON.

Standard input has a list of curves, each a list of durations and whether they have ended. Two
known differences are asked away here, so that what is left has to be the same:

- lifelines compares shares as they are, and misses a quantile where the share should be exactly 0.5
  but was rounded up. A small number beside the quantile has it take that step, as `insight` does.
- lifelines gives an upper limit where the share reaches 0. There is none, as R has it.
"""

import json
import math
import sys
from typing import Any

from lifelines import KaplanMeierFitter
from lifelines.utils import qth_survival_times

ROUNDED = 1e-9


def quantiles(durations: list[float], ended: list[bool]) -> list[float | None]:
    """p50, p75, p90, and the limits of p50; None: not reached."""
    fitted = KaplanMeierFitter().fit(durations, ended)
    shares = fitted.survival_function_.iloc[:, 0]
    lower, upper = (fitted.confidence_interval_.iloc[:, n] for n in (0, 1))
    asked = [(0.5, shares), (0.25, shares), (0.1, shares), (0.5, lower)]
    asked.append((0.5, upper.where(shares > ROUNDED).ffill().fillna(1.0)))
    return [_known(qth_survival_times(share + ROUNDED, curve)) for share, curve in asked]


def _known(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


if __name__ == "__main__":
    print(json.dumps([quantiles(*curve) for curve in json.load(sys.stdin)]))
