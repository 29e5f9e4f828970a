"""Photographs that come with the dependencies, for a first run without any file at hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dask_quant.errors import SourceNotFoundError

SAMPLE_NAMES = ("china.jpg", "flower.jpg")
"""Two photographs of 640 x 427 pixels (CC BY 2.0) that scikit-learn ships."""


def find_sample_images() -> list[Path]:
    """Return the paths of the sample photographs; scikit-learn is located, not imported.

    Raises
    ------
    SourceNotFoundError
        When scikit-learn is missing or ships them no more.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "datasets" / "images"
        paths = [folder / name for name in SAMPLE_NAMES]
        if all(path.is_file() for path in paths):
            return paths
    message = (
        "The sample photographs of scikit-learn are not installed; reinstall scikit-learn, or run "
        "dask-quant compare on a picture of your own."
    )
    raise SourceNotFoundError(message)
