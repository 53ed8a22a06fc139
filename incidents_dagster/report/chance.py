"""The range that chance allows: how far a week's count may be from others without any change.

Incidents that come independently at a steady rate make Poisson counts. Their rate is only known
from the weeks before; with Jeffreys' prior, that makes a negative binomial count. Where those weeks
differ by more than Poisson counts do, as incidents cause others, the range is wider by as much
(quasi-Poisson).
"""

from collections.abc import Sequence
from math import ceil, exp, floor, lgamma, log, sqrt

TAIL = 0.025  # on each side, so that 95 of 100 weeks are within
# Of a median: fewer incidents than these all take longer than it in more than so many cases.
FEWEST_OF_A_LIMIT = 6


def count_range(before: Sequence[int]) -> tuple[int, int]:
    """The range of a week's count that the weeks before allow, both ends included.

    Args:
        before: The count of each of those weeks, at least one.
    """
    usual, wider = sum(before) / len(before), sqrt(dispersion(before))
    low, high = _poisson_range(sum(before), len(before))
    # The small number: with `wider` 1, these are the range itself, whatever floats make of it.
    least, most = usual - (usual - low) * wider, usual + (high - usual) * wider
    return max(0, ceil(least - 1e-9)), floor(most + 1e-9)


def dispersion(counts: Sequence[int]) -> float:
    """By how much counts vary more than Poisson ones: variance over mean, at least 1."""
    mean = sum(counts) / len(counts)
    if len(counts) == 1 or not mean:
        return 1.0
    return max(1.0, sum((one - mean) ** 2 for one in counts) / (len(counts) - 1) / mean)


def _poisson_range(total: int, weeks: int) -> tuple[int, int]:
    shape, stay = total + 0.5, weeks / (weeks + 1)
    low, high, so_far = -1, 0, 0.0
    while True:
        so_far += exp(
            lgamma(high + shape)
            - lgamma(high + 1)
            - lgamma(shape)
            + shape * log(stay)
            + high * log(1 - stay)
        )
        if low < 0 and so_far > TAIL:
            low = high
        if so_far >= 1 - TAIL:
            return low, high
        high += 1
