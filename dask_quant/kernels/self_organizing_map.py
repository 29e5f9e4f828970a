"""A line of neurons drawn towards colours, one after another: Kohonen's map, as NeuQuant has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.kernels.jit import compile_kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARE_RATE = 1.0 / 1024
"""By how much a sample moves the shares of wins: Dekker's beta."""

BIAS_LEVELS = 1024.0
"""Levels of handicap for a neuron that always wins: Dekker's gamma, with which beta makes 1."""


@compile_kernel
def train_map_block(
    neurons: NDArray[np.float64],
    shares: NDArray[np.float64],
    rows: NDArray[np.float64],
    rate: float,
    radius: float,
) -> None:
    """Draw neurons towards the colours of one cycle.

    Each colour goes to the neuron that is nearest once those that won more than their share are
    handicapped; that neuron moves by ``rate`` of the way, and those beside it on the line by less,
    as a parabola falls to nothing at ``radius`` neurons.

    Parameters
    ----------
    neurons : ndarray
        Levels float64 ``(k, 3)``, in the order of the line; changed in place.
    shares : ndarray
        Share of late colours that each was the nearest of, without any handicap, float64 ``(k,)``;
        changed in place.
    rows : ndarray
        Colours float64 ``(n, 3)``.
    rate : float
        Of the way, 0 to 1.
    radius : float
        Neurons; up to 1 the winner moves alone.
    """
    n_neurons = neurons.shape[0]
    fair, reach = 1.0 / n_neurons, int(radius)
    for i in range(rows.shape[0]):
        nearest = winner = 0
        least = least_biased = float("inf")
        for j in range(n_neurons):
            distance = 0.0
            for band in range(3):
                distance += abs(rows[i, band] - neurons[j, band])
            if distance < least:
                least, nearest = distance, j
            distance -= BIAS_LEVELS * (fair - shares[j])
            if distance < least_biased:
                least_biased, winner = distance, j
            shares[j] -= SHARE_RATE * shares[j]
        shares[nearest] += SHARE_RATE
        for j in range(max(0, winner - reach), min(n_neurons, winner + reach + 1)):
            away = (j - winner) / radius if j != winner else 0.0
            step = rate * (1.0 - away * away)
            for band in range(3):
                neurons[j, band] += step * (rows[i, band] - neurons[j, band])
