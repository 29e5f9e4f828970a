"""Many tasks of one kind as one layer of a graph.

`dask.delayed` makes a graph for every call, and looks through those of its arguments: two
milliseconds for a task, where a layer of plain entries takes microseconds.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import dask.array as da


def apply_to_blocks(function: Callable[[Any], Any], image: da.Array) -> list[Delayed]:
    """Return ``function(block)`` for every block, delayed, in their order. **Lazy**."""
    blocks = image.to_delayed().ravel().tolist()
    name = _name_layer(function)
    layer = {(name, number): (function, block.key) for number, block in enumerate(blocks)}
    # All blocks have one graph.
    graph = HighLevelGraph.from_collections(name, layer, dependencies=blocks[:1])
    return [Delayed(key, graph, layer=name) for key in layer]


def gather_tasks(function: Callable[[list[Any]], Any], tasks: Sequence[Delayed]) -> Delayed:
    """Return ``function`` of the list of what tasks return, delayed. **Lazy**."""
    name = _name_layer(function)
    layers: dict[Any, Any] = {}
    needed: dict[Any, set[Any]] = {}
    for task in tasks:
        layers |= task.dask.layers
        needed |= task.dask.dependencies
    # What calls made, a layer each, becomes one: a scheduler unpacks them one by one.
    entries = {name: (function, [task.key for task in tasks])}
    used: set[Any] = set().union(*needed.values())
    own = [task.key for task in tasks if task.key in layers and task.key not in used]
    for key in own:
        entries |= layers.pop(key)
    wanted = {task.__dask_layers__()[0] for task in tasks}.union(*map(needed.pop, own))
    graph = HighLevelGraph({**layers, name: entries}, {**needed, name: wanted - set(own)})
    return Delayed(name, graph)


def reduce_tree(
    function: Callable[[list[Any]], Any], leaves: Sequence[Delayed], split_every: int
) -> Delayed:
    """Return what ``function`` makes of at least one leaf, so many at a time. **Lazy**."""
    if len(leaves) == 1:
        return leaves[0]
    name = _name_layer(function)
    layer: dict[Any, Any] = {}
    level = [leaf.key for leaf in leaves]
    while len(level) > 1:
        merged = []
        for begin in range(0, len(level), split_every):
            merged.append((name, len(layer)))
            layer[merged[-1]] = (function, level[begin : begin + split_every])
        level = merged
    return Delayed(
        level[0], HighLevelGraph.from_collections(name, layer, dependencies=leaves), layer=name
    )


def _name_layer(function: Callable[..., Any]) -> str:
    """Return a name that no other layer has, and that says what tasks do."""
    plain = getattr(function, "func", function)  # of a partial
    return f"{getattr(plain, '__name__', type(plain).__name__)}-{uuid.uuid4().hex}"
