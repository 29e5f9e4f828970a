"""NeuQuant [1]_: a self-organising map, a line of neurons drawn through colour space.

The neurons lie evenly on the line of greys. Pixels are drawn; the neuron that is nearest to a
pixel, and less so those beside it on the line, move towards it, at a rate and in a neighbourhood
that shrink from cycle to cycle. A neuron that wins often is handicapped, so that rare colours get
one as well. It was made for 256 colours, and is at its best there. Here a pixel is drawn by a hash
of the seed, the cycle and its number in the cycle, where the paper's program steps through the
image by a prime number; and neurons are where they end, not their nearest pixels.

References
----------
.. [1] A. H. Dekker, "Kohonen neural networks for optimal colour quantization", Network:
   Computation in Neural Systems 5(3), 1994, doi:10.1088/0954-898X_5_3_003.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dask_quant.events import Event
from dask_quant.fit.methods.drawing import PixelDraws
from dask_quant.kernels.self_organizing_map import train_map_block

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dask_quant.events import Listener
    from dask_quant.fit.boxes import ColorBoxes
    from dask_quant.fit_options import FitOptions

N_CYCLES = 100
"""Cycles after each of which rate and radius shrink: the paper's."""

CYCLE_PIXELS = 1024
"""Pixels of a cycle (measured: eight times as many gain 10 % at 256 colours, nothing below)."""

_RATE_DECAY = 1 / 30
"""Share of the rate, 1 at first, that a cycle takes: the paper's."""

_RADIUS_DECAY = 1 / 30
"""Share of the radius that a cycle takes: the paper's."""

_NEIGHBOURHOOD = 8
"""An eighth of the neurons is the first radius: the paper's, 32 of 256."""


def fit_neurons(
    boxes: ColorBoxes, options: FitOptions, listener: Listener
) -> tuple[NDArray[np.float64], int]:
    """Return neurons, sRGB levels float64 ``(n_colors, 3)``, and the cycles that moved them.

    O(``n_colors``) for each of 100 thousand pixels, however many there are.
    """
    n_colors = options.n_colors
    greys = (np.arange(n_colors) + 0.5) * (255 / n_colors)
    neurons = np.repeat(greys[:, np.newaxis], 3, axis=1)
    shares = np.full(n_colors, 1 / n_colors)
    pixels, rate, radius = PixelDraws(boxes, options.seed), 1.0, n_colors / _NEIGHBOURHOOD
    for cycle in range(N_CYCLES):
        rows = pixels.draw(CYCLE_PIXELS, cycle)
        train_map_block(neurons, shares, rows, rate, radius if radius > 1 else 0.0)
        listener(Event("fit", cycle + 1, N_CYCLES, "rounds"))
        rate -= _RATE_DECAY * rate
        radius -= _RADIUS_DECAY * radius
    return neurons, N_CYCLES
