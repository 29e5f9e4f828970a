"""Sources: files, Zarr stores and arrays become lazy sRGB uint8 images ``(y, x, 3)``."""
