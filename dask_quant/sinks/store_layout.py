"""How a store is cut into chunks and shards: by the image's shape alone.

A shard is one file that one task writes whole; an inner chunk is the least that a reader decodes.
"""

from __future__ import annotations

import math

CHUNK_SIDE = 512
"""Side of an inner chunk in pixels: what a viewer fetches (arbitrary)."""

SHARD_SIDE = 4096
"""Side of a shard in pixels: one file, 16 Mpx, what one task writes (arbitrary)."""

_IMAGE_SHARD_SIDE = 2048
"""Side of a shard of decoded pixels: 12 MB (arbitrary)."""


def label_chunks(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of the inner chunks of an image of ``shape`` (y, x), in pixels.

    Examples
    --------
    >>> label_chunks((20_000, 300))
    (512, 300)
    """
    return min(CHUNK_SIDE, shape[0]), min(CHUNK_SIDE, shape[1])


def label_shards(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of the shards of an image of ``shape`` (y, x): a multiple of its chunks.

    Examples
    --------
    >>> label_shards((20_000, 300)), label_shards((600, 512))
    ((4096, 300), (1024, 512))
    """
    chunks = label_chunks(shape)
    return _shard_side(shape[0], chunks[0]), _shard_side(shape[1], chunks[1])


def image_shards(shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the shards of decoded pixels, from the image's shape alone.

    Examples
    --------
    >>> image_shards((20_000, 300))
    (2048, 300)
    """
    rows, columns = (
        min(_IMAGE_SHARD_SIDE, _shard_side(size, chunk))
        for size, chunk in zip(shape, label_chunks(shape), strict=True)
    )
    return rows, columns


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the shapes of an image and of its halves, halved until one is a single chunk.

    Examples
    --------
    >>> level_shapes((1500, 300)), level_shapes((512, 512))
    ([(1500, 300), (750, 150), (375, 75)], [(512, 512)])
    """
    shapes = [shape]
    while max(shapes[-1]) > CHUNK_SIDE:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def _shard_side(size: int, chunk: int) -> int:
    """Return the side of a shard: all of a small image, in whole chunks."""
    return min(SHARD_SIDE, math.ceil(size / chunk) * chunk)
