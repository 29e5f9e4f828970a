"""Dask arrays in, Dask arrays or delayed values out; nothing here computes."""
