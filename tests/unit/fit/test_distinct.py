"""Rounded colours kept apart: distinct, the first as they are, the others as near as can be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_quant.color_spaces import find_space
from dask_quant.fit.distinct import round_apart

SRGB = find_space("srgb")


def find_free_slowly(space, mean, taken):
    """The least squared distance of any colour that is not taken, by looking at a wide cube."""
    middle = np.rint(space.find_levels(mean[np.newaxis])[0]).astype(int)
    ranges = [np.arange(max(0, level - 6), min(255, level + 6) + 1) for level in middle]
    cube = np.stack(np.meshgrid(*ranges), axis=-1).reshape(-1, 3).astype(np.uint8)
    free = np.array([row for row in cube if tuple(row.tolist()) not in taken])
    return np.square(space.place(free) - mean).sum(axis=1).min()


@given(
    levels=st.lists(st.tuples(*[st.floats(-0.49, 3.49)] * 3), min_size=1, max_size=40),
    high=st.booleans(),
    n_fixed=st.integers(0, 3),
)
def test_colors_are_distinct_and_as_near_as_can_be(levels, high, n_fixed):
    means = np.array(levels) + (251.9 if high else 0.0)
    rounded = np.clip(np.rint(means), 0, 255).astype(np.uint8)
    _, firsts = np.unique(rounded, axis=0, return_index=True)
    fixed = np.sort(firsts)[::-1][:n_fixed]
    found = round_apart(SRGB, means, rounded, fixed)
    assert len(np.unique(found, axis=0)) == len(found)
    assert (found[fixed] == rounded[fixed]).all()
    assert (found[firsts] == rounded[firsts]).all()
    taken = {tuple(row) for row in rounded.tolist()}
    for position in sorted(set(range(len(found))) - set(firsts.tolist())):
        distance = np.square(found[position] - means[position]).sum()
        assert distance == pytest.approx(find_free_slowly(SRGB, means[position], taken))
        taken.add(tuple(found[position].tolist()))


def test_what_is_fixed_comes_before_what_stands_before_it():
    rounded = np.full((2, 3), 9, dtype=np.uint8)
    means = np.array([[9.1, 9.0, 9.0], [9.0, 9.0, 9.0]])
    assert round_apart(SRGB, means, rounded, np.array([1])).tolist() == [[10, 9, 9], [9, 9, 9]]


@pytest.mark.parametrize("name", ["linear", "oklab", "lab"])
def test_distances_are_those_of_the_space(name):
    space = find_space(name)
    rounded = np.full((3, 3), 40, dtype=np.uint8)
    means = space.place(rounded).astype(float)
    means += [[0, 0, 0], [5, -7, 3], [-2, 1, 9]]
    found = round_apart(space, means, rounded, np.array([], dtype=np.int64))
    taken = {(40, 40, 40)}
    for mean, color in zip(means[1:], found[1:], strict=True):
        distance = np.square(space.place(color[np.newaxis])[0] - mean).sum()
        assert distance == find_free_slowly(space, mean, taken)
        taken.add(tuple(color.tolist()))
