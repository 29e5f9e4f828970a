"""The octree against a tree of dictionaries that is pruned leaf by leaf, in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest

from dask_quant.fit.boxes import ColorBoxes
from dask_quant.fit.methods.octree import find_octree
from dask_quant.histogram import ColorHistogram


def cube_of(color, depth):
    """Corner of the cube that holds a colour, in cubes."""
    return tuple(level >> (8 - depth) for level in color)


def sum_pixels(colors):
    return (
        sum(w for _, w in colors),
        *(sum(c[band] * w for c, w in colors) for band in range(3)),
    )


def choose_depth(colors, n_colors):
    """Cells, or the largest of the smaller cubes of which there are four for each colour."""
    for depth in (5, 6, 7, 8):
        if len({cube_of(c, depth) for c, _ in colors}) >= 4 * n_colors:
            break
    return depth


def prune_plainly(colors, n_colors):
    depth = choose_depth(colors, n_colors)
    whole = {
        (d, cube): sum_pixels([p for p in colors if cube_of(p[0], d) == cube])
        for d in range(depth + 1)
        for cube in {cube_of(c, d) for c, _ in colors}
    }

    def parent_of(node):
        return node[0] - 1, tuple(x >> 1 for x in node[1])

    def cost_of(node):
        mine, theirs = whole[node], whole[parent_of(node)]
        gaps = [Fraction(mine[i], mine[0]) - Fraction(theirs[i], theirs[0]) for i in (1, 2, 3)]
        return mine[0] * sum(gap**2 for gap in gaps)

    costs = {node: cost_of(node) for node in whole if node[0]}
    own = {node: whole[node] for node in whole if node[0] == depth}
    standing = set(whole)
    while len(own) > n_colors:
        parents = {parent_of(node) for node in standing if node[0]}
        leaf = min(standing - parents, key=lambda node: (costs[node], -node[0], node[1]))
        standing.remove(leaf)
        taken, above = own.pop(leaf), own.get(parent_of(leaf), (0, 0, 0, 0))
        own[parent_of(leaf)] = tuple(a + b for a, b in zip(taken, above, strict=True))
    return [[float(Fraction(sums[i], sums[0])) for i in (1, 2, 3)] for sums in own.values()]


@pytest.mark.parametrize("n_colors", [1, 2, 3, 8, 20, 60, 89])
def test_the_octree_is_the_plain_one(weighted, n_colors, assert_same_colors):
    colors, boxes = weighted
    assert_same_colors(find_octree(boxes, n_colors), prune_plainly(colors, n_colors))


def test_colors_of_one_cube_are_told_apart():
    levels = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3).astype(np.uint8)
    histogram = ColorHistogram.from_colors(levels, np.arange(1, 65))
    found = find_octree(ColorBoxes.from_histogram(histogram), 63)
    assert len(np.unique(found, axis=0)) == 63
    assert (found == found.round()).all(axis=1).sum() == 62  # two colours share an entry


def test_a_node_of_billions_does_not_overflow():
    colors = np.array([[0, 0, 0], [255, 255, 255], [255, 255, 0]], dtype=np.uint8)
    weights = np.array([10**12, 10**12, 1])
    boxes = ColorBoxes.from_histogram(ColorHistogram.from_colors(colors, weights))
    dark, light = find_octree(boxes, 2)[np.argsort(find_octree(boxes, 2)[:, 0])]
    np.testing.assert_allclose(dark, 0)
    np.testing.assert_allclose(light, 255, atol=1e-6)
