"""Where a curve bends: the number from which more gains little.

References
----------
V. Satopaa, J. Albrecht, D. Irwin, B. Raghavan, "Finding a kneedle in a haystack", ICDCS Workshops
2011, doi:10.1109/ICDCSW.2011.20; here without smoothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def find_elbow(numbers: Sequence[int], errors: Sequence[float]) -> int:
    """Return the number whose error is furthest below the chord from the first to the last.

    Examples
    --------
    >>> find_elbow([1, 2, 3, 4, 5], [100.0, 40.0, 12.0, 9.0, 7.0])
    3
    """
    x, y = np.array(numbers, dtype=np.float64), np.array(errors, dtype=np.float64)
    if len(x) < 3 or y[0] <= y[-1]:
        return int(numbers[0])
    below = (x[-1] - x) / (x[-1] - x[0]) - (y - y[-1]) / (y[0] - y[-1])
    return int(numbers[int(below.argmax())])
