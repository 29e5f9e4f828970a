import numpy as np
import pytest

from dask_quant.kernels.order import order_block


def order_oracle(winnable, codes, ties, weights):
    """The definition: again and again the best of those left, which claims its ties."""
    winnable, ties, order = list(winnable), dict(ties), []
    while len(order) < len(codes):
        left = [entry for entry in range(len(codes)) if entry not in order]
        best = min(left, key=lambda entry: (-winnable[entry], codes[entry]))
        order.append(best)
        for color in [color for color, entries in ties.items() if best in entries]:
            for other in ties.pop(color):
                winnable[other] -= weights[color] if other != best else 0
    return order


def draw_ties(rng, n_entries, n_colors):
    """Return tied colours with their entries, ascending, and weights of all colours."""
    weights = rng.integers(1, 9, n_colors)
    tied = np.flatnonzero(rng.random(n_colors) < 0.5)
    sizes = rng.integers(2, min(5, n_entries) + 1, len(tied))
    chosen = [np.sort(rng.choice(n_entries, n, replace=False)) for n in sizes]
    return {int(c): e.tolist() for c, e in zip(tied, chosen, strict=True)}, weights


@pytest.mark.parametrize("seed", range(40))
def test_entries_claim_their_ties_in_the_order_of_what_is_left(seed):
    rng = np.random.default_rng(seed)
    n_entries = int(rng.integers(2, 30))
    ties, weights = draw_ties(rng, n_entries, int(rng.integers(0, 120)))
    codes = rng.choice(2**24, n_entries, replace=False).astype(np.uint32)
    winnable = rng.integers(0, 20, n_entries)
    for color, entries in ties.items():
        winnable[entries] += weights[color]
    expected = order_oracle(winnable, codes, ties, weights)
    colors = np.repeat(np.array(list(ties), dtype=np.int64), [len(e) for e in ties.values()])
    entries = np.array([e for each in ties.values() for e in each], dtype=np.int32)
    assert order_block(winnable.copy(), codes, colors, entries, weights).tolist() == expected


def test_without_ties_entries_stand_by_weight_then_code():
    nothing = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    order = order_block(np.array([5, 7, 5, 0]), np.array([9, 8, 2, 1], dtype=np.uint32), *nothing)
    assert order.tolist() == [1, 2, 0, 3]


def test_one_entry_is_an_order():
    nothing = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    assert order_block(np.array([3]), np.array([4], dtype=np.uint32), *nothing).tolist() == [0]
