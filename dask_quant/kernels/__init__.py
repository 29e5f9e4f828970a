"""Numba kernels: plain arrays in, plain arrays out, the GIL released.

Kernels are serial (Dask runs many of them side by side), never reassociate floating-point sums and
know neither Dask nor files. Each module is one idea: `cells` lays out colour space, `count_block`
counts, `seed` draws first centroids, `clusters` iterates (with `prune`, `hand_over` and `moments`),
`split_merge` is for the search, `order` puts a palette in order, `assign` labels, `nearest`
and `lloyd_rows` do for rows of any length.
"""
