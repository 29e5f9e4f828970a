"""What a finished segmentation says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask_quant.results import explained_variance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dask_quant.class_model import ClassModel
    from dask_quant.class_table import ClassTable


@dataclass(frozen=True)
class SceneReport:
    """One raster of a segmentation."""

    path: str
    """The raster as the user named it."""
    output: str | None
    """Where its classes were written; None where nothing was."""
    n_pixels: int
    """Pixels."""
    n_excluded: int
    """Those of them that are nodata, masked or not finite in some band."""
    class_pixels: tuple[int, ...]
    """Pixels of each class."""

    def to_json(self) -> dict[str, Any]:
        """Return the values as JSON-ready ones."""
        return {
            "path": self.path,
            "output": self.output,
            "n_pixels": self.n_pixels,
            "n_excluded": self.n_excluded,
            "class_pixels": list(self.class_pixels),
        }


@dataclass(frozen=True, kw_only=True)
class SegmentReport:
    """What `segment` did, and what the classes are like.

    ``inertia`` and ``total_inertia`` are measured in features: bands after scale and weights.
    """

    command: str
    """Which command ran."""
    model: ClassModel
    """The classes, for other rasters as well."""
    table: ClassTable
    """What the pixels of each class are like, all rasters together."""
    scenes: tuple[SceneReport, ...]
    """Each raster."""
    n_ignored: int
    """Files in folders that are no rasters."""
    inertia: float | None
    """Sum of squared distances to the centres; None for a model that was given."""
    total_inertia: float | None
    """The same with a single class."""
    component_shares: tuple[float, ...] | None
    """Share of all variance that each principal component holds that distances are measured in;
    None where they are measured in bands, and for a model that was given."""
    n_iter: int
    """Times that centres were moved, on all pixels."""
    n_passes: int
    """Passes over all pixels to fit; one more describes, one labels."""
    input_bytes: int
    """Bytes of the rasters as stored; for arrays, in memory."""
    output_bytes: int
    """Bytes of the outputs as stored."""
    outputs: tuple[str, ...]
    """Files and stores written."""
    seconds: Mapping[str, float]
    """Wall seconds by stage, ``total`` first."""
    peak_rss_bytes: int
    """Peak resident memory of driver and workers together, in bytes."""
    projected_bytes: int
    """Upper bound of that, planned before the start."""
    version: str
    """Version of dask_quant."""

    @property
    def n_clusters(self) -> int:
        """Classes."""
        return len(self.model)

    @property
    def n_pixels(self) -> int:
        """Pixels of all rasters."""
        return sum(scene.n_pixels for scene in self.scenes)

    @property
    def n_excluded(self) -> int:
        """Pixels that are left out."""
        return sum(scene.n_excluded for scene in self.scenes)

    @property
    def explained_variance(self) -> float | None:
        """1 - inertia / total inertia; None for a model that was given."""
        if self.inertia is None or self.total_inertia is None:
            return None
        return explained_variance(self.inertia, self.total_inertia)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            "command": self.command,
            "n_images": len(self.scenes),
            "n_ignored": self.n_ignored,
            "n_pixels": self.n_pixels,
            "n_excluded": self.n_excluded,
            "n_clusters": self.n_clusters,
            "bands": list(self.model.band_names),
            "scale": self.model.scale,
            "nodata": self.model.nodata,
            "classes": self.table.to_records(),
            "scenes": [scene.to_json() for scene in self.scenes],
            "inertia": self.inertia,
            "explained_variance": self.explained_variance,
            "component_shares": (
                None if self.component_shares is None else list(self.component_shares)
            ),
            "seed": self.model.seed,
            "n_iter": self.n_iter,
            "n_passes": self.n_passes,
            "input_bytes": self.input_bytes,
            "output_bytes": self.output_bytes,
            "outputs": list(self.outputs),
            "seconds": dict(self.seconds),
            "peak_rss_bytes": self.peak_rss_bytes,
            "projected_bytes": self.projected_bytes,
            "version": self.version,
        }
