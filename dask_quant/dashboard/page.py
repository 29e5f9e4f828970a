"""The page of the board: one HTML text that refers to nothing outside of the scheduler."""

PAGE = "<!DOCTYPE html><title>dask-quant jobs</title>"
CONTENT_POLICY = "default-src 'none'"
