"""Layers of plain tasks are what delayed calls would be."""

from functools import partial

import dask
import dask.array as da
import numpy as np
import pytest

from dask_quant.graphs.layers import apply_to_blocks, gather_tasks, reduce_tree


def add_up(numbers, extra=0):
    return sum(numbers) + extra


def compute(delayed):
    return delayed.compute(scheduler="synchronous")


def test_every_block_is_given_to_the_function_in_order():
    image = da.from_array(np.arange(24).reshape(4, 6), chunks=(2, 3)) + 1
    found = apply_to_blocks(np.sum, image)
    assert [int(compute(each)) for each in found] == [30, 48, 102, 120]
    assert len({each.key for each in found}) == 4


@pytest.mark.parametrize("n_leaves", [1, 2, 3, 16, 17, 50])
@pytest.mark.parametrize("split_every", [2, 16])
def test_a_tree_merges_every_leaf_once_and_few_at_a_time(n_leaves, split_every):
    leaves = [dask.delayed(number, pure=False) for number in range(n_leaves)]
    root = reduce_tree(add_up, leaves, split_every)
    assert compute(root) == sum(range(n_leaves))
    merges = [task for key, task in root.dask.to_dict().items() if "add_up" in str(key)]
    assert all(1 <= len(keys) <= split_every for _, keys in merges)


def test_tasks_of_any_graphs_are_gathered_in_order():
    leaves = [dask.delayed(str)(7), *apply_to_blocks(np.max, da.ones((2, 2), chunks=1))]
    assert compute(gather_tasks(list, leaves)) == ["7", 1.0, 1.0, 1.0, 1.0]
    assert compute(gather_tasks(len, [])) == 0


def test_calls_of_a_wave_are_one_layer_whatever_they_share_and_build_on():
    image = da.from_array(np.arange(12), chunks=2) + 1
    task, shared = dask.delayed(np.add, pure=False), dask.delayed(100, pure=False)
    calls = [task(block, shared) for block in image.to_delayed()]
    calls.append(dask.delayed(np.sum, pure=False)(calls[0]))  # one that builds on another
    root = gather_tasks(list, calls)
    assert len(root.dask.layers) <= 5
    assert [np.sum(each) for each in compute(root)] == [203, 207, 211, 215, 219, 223, 203]
    again = root.dask.to_dict()
    assert all(call.key in again for call in calls)


def test_names_say_what_tasks_do_and_are_of_one_layer_each():
    leaves = [dask.delayed(1), dask.delayed(2)]
    names = {str(gather_tasks(partial(add_up, extra=4), leaves).key) for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("add_up-") for name in names)
    assert compute(reduce_tree(partial(add_up, extra=4), leaves, 2)) == 7
