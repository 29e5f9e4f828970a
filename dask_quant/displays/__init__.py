"""What values look like in a notebook: HTML and SVG, without scripts, links or other files.

A module for each kind of value, each with a function ``draw``. They are small (below
`dask_quant.displays.frame.MAX_BYTES`), take the colours of the page around them, light or dark, and
say in words what they show.
"""
