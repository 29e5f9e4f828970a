"""Numba kernels: plain arrays in, plain arrays out, the GIL released.

Kernels are serial (Dask runs many of them side by side), never reassociate floating-point sums and
know neither Dask nor files. Each module is one idea: `cells` lays out colour space, `count_block`
counts, `seed` draws first centroids, `lloyd` iterates, `assign` labels.
"""
