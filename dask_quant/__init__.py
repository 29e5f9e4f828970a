"""Exact colour quantization and out-of-core k-means segmentation for Dask.

    import dask_quant as dq

    report = dq.quantize("photo.jpg", "photo.png", n_colors=16)      # files, folders, all of it

    image = dq.open_image("scan.zarr")                               # lazy Dask array (y, x, 3)
    hist = dq.count_colors(image)                                    # exact, one pass
    palette = dq.fit_palette(hist, n_colors=16)
    labels = dq.relabel(image, palette)                              # lazy (y, x) uint8
    dq.write(labels, "labels.zarr", palette=palette)

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dask_quant.arrays import (
        count_colors,
        find_borders,
        fit_palette,
        relabel,
        render,
        write,
    )
    from dask_quant.board_client import read_job, read_jobs
    from dask_quant.class_model import ClassModel
    from dask_quant.class_scores import ClassCurve, ClassScore
    from dask_quant.class_table import ClassTable
    from dask_quant.color_choice import elbow
    from dask_quant.color_curve import ColorCurve, ColorScore
    from dask_quant.comparison import Candidate, Comparison, compare, make_demo
    from dask_quant.detached import cancel_job, follow_job, submit_job
    from dask_quant.errors import (
        ClusterError,
        ColorProfileWarning,
        DaskQuantError,
        DaskQuantWarning,
        DecoderError,
        FewerClassesWarning,
        FewerColorsWarning,
        FitError,
        JobError,
        MemoryBudgetError,
        OptionError,
        OutputError,
        OutputExistsError,
        PaletteError,
        PixelFormatError,
        SourceError,
        SourceNotFoundError,
        WorkerVersionWarning,
    )
    from dask_quant.estimator import ColorQuantizer
    from dask_quant.events import Event, Notice
    from dask_quant.histogram import ColorHistogram
    from dask_quant.image_infos import describe_images
    from dask_quant.job_plans import plan_job
    from dask_quant.job_report import write_report
    from dask_quant.options import ClusterOptions
    from dask_quant.palette import Palette
    from dask_quant.pipeline import apply_palette, make_palette, quantize
    from dask_quant.results import ImageInfo, Quarantined, Report
    from dask_quant.routes.planning import JobPlan
    from dask_quant.scalable import ScalableKMeans
    from dask_quant.segment_report import SceneReport, SegmentReport
    from dask_quant.segmentation import apply_classes, label_classes, score_classes, segment
    from dask_quant.sinks.class_model_file import read_class_model, write_class_model
    from dask_quant.sinks.histogram_file import write_histogram
    from dask_quant.sinks.palette_file import read_palette, write_palette
    from dask_quant.sources.histogram_file import read_histogram
    from dask_quant.sources.opening import open_image

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "ClassCurve",
    "ClassModel",
    "ClassScore",
    "ClassTable",
    "ClusterError",
    "ClusterOptions",
    "ColorCurve",
    "ColorHistogram",
    "ColorProfileWarning",
    "ColorQuantizer",
    "ColorScore",
    "Comparison",
    "DaskQuantError",
    "DaskQuantWarning",
    "DecoderError",
    "Event",
    "FewerClassesWarning",
    "FewerColorsWarning",
    "FitError",
    "ImageInfo",
    "JobError",
    "JobPlan",
    "MemoryBudgetError",
    "Notice",
    "OptionError",
    "OutputError",
    "OutputExistsError",
    "Palette",
    "PaletteError",
    "PixelFormatError",
    "Quarantined",
    "Report",
    "ScalableKMeans",
    "SceneReport",
    "SegmentReport",
    "SourceError",
    "SourceNotFoundError",
    "WorkerVersionWarning",
    "apply_classes",
    "apply_palette",
    "cancel_job",
    "compare",
    "count_colors",
    "describe_images",
    "elbow",
    "find_borders",
    "fit_palette",
    "follow_job",
    "label_classes",
    "make_demo",
    "make_palette",
    "open_image",
    "plan_job",
    "quantize",
    "read_class_model",
    "read_histogram",
    "read_job",
    "read_jobs",
    "read_palette",
    "relabel",
    "render",
    "score_classes",
    "segment",
    "submit_job",
    "write",
    "write_class_model",
    "write_histogram",
    "write_palette",
    "write_report",
]

_HOMES = {
    "dask_quant.arrays": (
        "count_colors",
        "find_borders",
        "fit_palette",
        "relabel",
        "render",
        "write",
    ),
    "dask_quant.board_client": ("read_job", "read_jobs"),
    "dask_quant.class_model": ("ClassModel",),
    "dask_quant.class_scores": ("ClassCurve", "ClassScore"),
    "dask_quant.class_table": ("ClassTable",),
    "dask_quant.color_choice": ("elbow",),
    "dask_quant.color_curve": ("ColorCurve", "ColorScore"),
    "dask_quant.comparison": ("Candidate", "Comparison", "compare", "make_demo"),
    "dask_quant.detached": ("cancel_job", "follow_job", "submit_job"),
    "dask_quant.estimator": ("ColorQuantizer",),
    "dask_quant.events": ("Event", "Notice"),
    "dask_quant.histogram": ("ColorHistogram",),
    "dask_quant.image_infos": ("describe_images",),
    "dask_quant.job_plans": ("plan_job",),
    "dask_quant.job_report": ("write_report",),
    "dask_quant.options": ("ClusterOptions",),
    "dask_quant.palette": ("Palette",),
    "dask_quant.pipeline": ("apply_palette", "make_palette", "quantize"),
    "dask_quant.results": ("ImageInfo", "Quarantined", "Report"),
    "dask_quant.routes.planning": ("JobPlan",),
    "dask_quant.scalable": ("ScalableKMeans",),
    "dask_quant.segment_report": ("SceneReport", "SegmentReport"),
    "dask_quant.segmentation": ("apply_classes", "label_classes", "score_classes", "segment"),
    "dask_quant.sinks.class_model_file": ("read_class_model", "write_class_model"),
    "dask_quant.sinks.histogram_file": ("write_histogram",),
    "dask_quant.sinks.palette_file": ("read_palette", "write_palette"),
    "dask_quant.sources.histogram_file": ("read_histogram",),
    "dask_quant.sources.opening": ("open_image",),
}

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its module the first time that it is used."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home = importlib.import_module(_HOME_OF.get(name, "dask_quant.errors"))
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*__all__, "__version__"])
