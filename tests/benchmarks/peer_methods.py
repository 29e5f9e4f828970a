"""The methods that the benchmark compares: dask_quant, and what else makes few colours of many.

Every method takes a `Task` and writes an indexed PNG. Packages and tools that nothing here depends
on are looked for when asked, and imported when first used.

Seconds of a package run from the decoded pixels in memory to the palette and the labels of all
pixels; importing, compiling and writing the file are left out. Seconds of a command are those of
the whole process: it starts, reads a PNG and writes one. Each uses the threads that it takes by
default.

Packages that return centroids are judged kindly: their centroids are rounded to 8 bits and every
pixel is given the nearest, exactly, outside the seconds; their own labels, of the centroids before
rounding, cannot be better.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
from PIL import Image, features

import dask_quant as dq
from dask_quant import tables
from dask_quant.fit_options import SPACES
from dask_quant.method_options import KMEANS
from dask_quant.method_options import METHODS as OUR_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Centroids = NDArray[np.floating[Any]]

REFERENCE = "ours-default"
"""The method that all others are compared with."""

CHUNKS = 4
"""Chunks of the Dask array that dask-ml gets: two for each of two threads (arbitrary)."""

PILLOW_KMEANS = 1
"""Pillow's ``kmeans`` iterates until fewer pixels than this change their colour: to the end."""

KMEANS_IN_OPENCV = {"max_iter": 10, "epsilon": 1.0, "attempts": 10}
"""Stopping rule and restarts that OpenCV's users write, from its tutorial."""

MAGICK_NAMES = ("magick", "convert-im6.q16", "convert")
"""Names of ImageMagick's command, version 7's first, then Debian's, then the common one."""

GDAL_NAMES = ("rgb2pct.py", "rgb2pct")
"""Names of GDAL's command."""


@dataclass(frozen=True)
class Task:
    """One image to quantize."""

    pixels: Pixels
    """sRGB uint8 ``(y, x, 3)``."""
    source: Path
    """The same pixels as a PNG without metadata, for commands."""
    n_colors: int
    """Colours asked for, 2 to 256."""
    out: Path
    """Indexed PNG to write, in a folder that may be littered."""


@dataclass(frozen=True)
class Method:
    """One way to quantize."""

    name: str
    """As ``--methods`` and ``--skip`` take it."""
    what: str
    """How it is called, for the reader of a table."""
    needs: str
    """What must be installed, a key of `machine.find_versions`."""
    run: Callable[[Task], float]
    """Writes ``out`` and returns the seconds."""
    is_slow: bool = False
    """Whether it takes minutes for an image."""
    is_command: bool = False
    """Whether the seconds are those of a whole process."""
    lacks: Callable[[], str | None] = lambda: None
    """Says what else is missing, if anything."""

    def find_missing(self, versions: Mapping[str, str | None]) -> str | None:
        """Return why the method cannot run here, None when it can."""
        return self.lacks() if versions[self.needs] else f"{self.needs} is not installed"


def as_rows(pixels: Pixels) -> NDArray[np.float32]:
    """Return pixels as samples, float32 ``(pixels, 3)``."""
    return pixels.reshape(-1, 3).astype(np.float32)


def round_palette(centroids: Centroids) -> Pixels:
    """Return the distinct 8-bit colours of centroids, uint8 ``(n, 3)``."""
    return np.unique(np.rint(np.clip(centroids, 0, 255)).astype(np.uint8), axis=0)


def label_nearest(pixels: Pixels, palette: Pixels) -> NDArray[np.integer[Any]]:
    """Return the index of the nearest palette entry of every pixel, ``(y, x)``."""
    return dq.relabel(pixels, palette).compute(scheduler="synchronous")


def write_indexed(labels: NDArray[np.integer[Any]], palette: Pixels, out: Path) -> None:
    """Write labels ``(y, x)`` below 256 as Pillow writes an indexed PNG."""
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(palette.tobytes())
    picture.save(out)


def quantize_ours(
    pixels: Pixels, n_colors: int, effort: str = "default", **options: Any
) -> tuple[dq.Palette, NDArray[np.integer[Any]]]:
    """Return dask_quant's palette and its labels ``(y, x)``."""
    palette = dq.fit_palette(pixels, n_colors, effort=effort, **options)
    return palette, dq.relabel(pixels, palette, space=options.get("space", "srgb")).compute()


def forget_tables() -> None:
    """Empty the cache of lookup tables: another effort may have come to the same palette."""
    tables._tables.clear()


def run_ours(task: Task, **options: Any) -> float:
    """Time dask_quant through its public functions; write with them as well."""
    forget_tables()
    begin = time.perf_counter()
    palette, labels = quantize_ours(task.pixels, task.n_colors, **options)
    seconds = time.perf_counter() - begin
    dq.write(labels, task.out, palette=palette, overwrite=True)
    return seconds


def cluster_sklearn(pixels: Pixels, n_colors: int, name: str, **options: Any) -> Centroids:
    """Return the centroids of a class of scikit-learn, which labels as it fits."""
    kind = getattr(importlib.import_module("sklearn.cluster"), name)
    return (
        kind(n_clusters=n_colors, random_state=0, **options).fit(as_rows(pixels)).cluster_centers_
    )


def cluster_dask_ml(pixels: Pixels, n_colors: int) -> Centroids:
    """Return the centroids of dask-ml's k-means as it comes, on threads, labels and all."""
    kind = importlib.import_module("dask_ml.cluster").KMeans
    rows = as_rows(pixels)
    chunked = da.from_array(rows, chunks=(-(-len(rows) // CHUNKS), 3))
    with dask.config.set(scheduler="threads"):
        fitted = kind(n_clusters=n_colors, random_state=0).fit(chunked)
        fitted.labels_.compute()
    return fitted.cluster_centers_


def cluster_opencv(pixels: Pixels, n_colors: int, centers: str) -> Centroids:
    """Return the centroids of OpenCV's k-means, which labels as it fits."""
    cv2 = importlib.import_module("cv2")
    cv2.setRNGSeed(0)
    limits = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER
    rule = (limits, KMEANS_IN_OPENCV["max_iter"], KMEANS_IN_OPENCV["epsilon"])
    attempts = KMEANS_IN_OPENCV["attempts"]
    return cv2.kmeans(as_rows(pixels), n_colors, None, rule, attempts, getattr(cv2, centers))[2]


def cluster_faiss(pixels: Pixels, n_colors: int) -> Centroids:
    """Return the centroids of faiss, fitted to the sample that it draws; label all pixels."""
    faiss = importlib.import_module("faiss")
    rows = as_rows(pixels)
    kmeans = faiss.Kmeans(rows.shape[1], n_colors)
    kmeans.train(rows)
    kmeans.index.search(rows, 1)
    return kmeans.centroids


def run_centroids(task: Task, cluster: Callable[[Pixels, int], Centroids]) -> float:
    """Time what returns centroids; write their nearest."""
    begin = time.perf_counter()
    centroids = cluster(task.pixels, task.n_colors)
    seconds = time.perf_counter() - begin
    palette = round_palette(centroids)
    write_indexed(label_nearest(task.pixels, palette), palette, task.out)
    return seconds


def run_pillow(task: Task, method: str, kmeans: int = 0) -> float:
    """Time Pillow's ``quantize``, which maps every pixel to its nearest entry."""
    picture = Image.fromarray(task.pixels)
    begin = time.perf_counter()
    quantized = picture.quantize(
        task.n_colors, method=Image.Quantize[method], kmeans=kmeans, dither=Image.Dither.NONE
    )
    seconds = time.perf_counter() - begin
    quantized.save(task.out)
    return seconds


def lack_libimagequant() -> str | None:
    """Say that this Pillow was built without libimagequant, where it was."""
    known = features.check("libimagequant")
    return None if known else "this pillow was built without libimagequant"


def find_command(names: tuple[str, ...]) -> str:
    """Return the first of ``names`` that is a command here."""
    return next((name for name in names if shutil.which(name)), names[0])


def run_command(task: Task, *arguments: str | Path) -> float:
    """Time a whole process; raise `RuntimeError` when it fails or writes nothing."""
    command = [str(argument) for argument in arguments]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode != 0 or not task.out.exists():
        words = " ".join((done.stderr or done.stdout).split())
        message = f"{command[0]} ended with {done.returncode} and said: {words}"
        raise RuntimeError(message)
    return seconds


def run_pngquant(task: Task, speed: int) -> float:
    """Run pngquant without dithering; speed 1 is its best quality."""
    options = ("--speed", str(speed), "--nofs", "--force", "--output", task.out)
    return run_command(task, "pngquant", *options, str(task.n_colors), "--", task.source)


def run_imagemagick(task: Task) -> float:
    """Run ImageMagick without dithering; ``png8:`` has up to 256 colours, as has the task."""
    command = find_command(MAGICK_NAMES)
    options = ("-dither", "None", "-colors", str(task.n_colors))
    return run_command(task, command, task.source, *options, f"png8:{task.out}")


def run_gdal(task: Task) -> float:
    """Run GDAL's ``rgb2pct``, which always diffuses the error."""
    command = find_command(GDAL_NAMES)
    options = ("-n", str(task.n_colors), "-of", "PNG")
    return run_command(task, command, *options, task.source, task.out)


def run_gdal_nearest(task: Task) -> float:
    """Run GDAL and replace its dithering by the nearest of the colours that it used."""
    seconds = run_gdal(task)
    with Image.open(task.out) as picture:
        palette = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    write_indexed(label_nearest(task.pixels, palette), palette, task.out)
    return seconds


def _ours(effort: str) -> Method:
    """Return dask_quant at an effort."""
    run = partial(run_ours, effort=effort)
    return Method(f"ours-{effort}", f"dask_quant, effort {effort}", "dask_quant", run)


def _other(method: str) -> Method:
    """Return one of dask_quant's methods that are not k-means."""
    run = partial(run_ours, method=method)
    return Method(f"ours-{method}", f"dask_quant, method {method}", "dask_quant", run)


def _in_space(space: str) -> Method:
    """Return dask_quant in another space than sRGB."""
    run = partial(run_ours, space=space)
    return Method(f"ours-{space}", f"dask_quant, space {space}", "dask_quant", run)


def _ours_like_opencv() -> Method:
    """Return dask_quant's k-means under the rule that OpenCV's gets, from random starts."""
    rule = KMEANS_IN_OPENCV
    options = {"n_init": rule["attempts"], "max_iter": rule["max_iter"], "tol": rule["epsilon"]}
    run = partial(run_ours, init="random", **options)
    words = ", ".join(f"{key} {value}" for key, value in options.items())
    return Method("ours-random", f"dask_quant, init random, {words}", "dask_quant", run)


def _sklearn(name: str, kind: str, *, is_slow: bool = False, **options: Any) -> Method:
    """Return a class of scikit-learn with its options."""
    words = ", ".join(f"{key}={value}" for key, value in options.items()) or "defaults"
    run = partial(run_centroids, cluster=partial(cluster_sklearn, name=kind, **options))
    return Method(name, f"scikit-learn {kind}, {words}", "scikit-learn", run, is_slow=is_slow)


def _opencv(name: str, centers: str, *, is_slow: bool = False) -> Method:
    """Return OpenCV's k-means from a way to begin."""
    run = partial(run_centroids, cluster=partial(cluster_opencv, centers=centers))
    words = ", ".join(f"{key} {value}" for key, value in KMEANS_IN_OPENCV.items())
    return Method(name, f"OpenCV kmeans, {centers}, {words}", "opencv", run, is_slow)


def _pillow(name: str, method: str, kmeans: int = 0, **more: Any) -> Method:
    """Return a method of Pillow's ``quantize``."""
    what = f"Pillow {method}" + (f", kmeans={kmeans}" if kmeans else "")
    run = partial(run_pillow, method=method, kmeans=kmeans)
    return Method(name, what, "pillow", run, **more)


def _pngquant(speed: int) -> Method:
    """Return pngquant at a speed."""
    run = partial(run_pngquant, speed=speed)
    what = f"pngquant --speed {speed} --nofs"
    return Method(f"pngquant-{speed}", what, "pngquant", run, is_command=True)


_FAISS = partial(run_centroids, cluster=cluster_faiss)
_DASK_ML = partial(run_centroids, cluster=cluster_dask_ml)
_MAGICK_WORDS = "ImageMagick -dither None -colors"
_GDAL_WORDS = "GDAL rgb2pct"

METHODS = (
    _ours("fast"),
    _ours("default"),
    _ours("best"),
    *(_in_space(space) for space in SPACES if space != "srgb"),
    *(_other(name) for name in OUR_METHODS if name != KMEANS),
    _ours_like_opencv(),
    _sklearn("sklearn-1", "KMeans", n_init=1),
    _sklearn("sklearn-10", "KMeans", n_init=10, is_slow=True),
    _sklearn("sklearn-minibatch", "MiniBatchKMeans"),
    _opencv("opencv-pp", "KMEANS_PP_CENTERS"),
    _opencv("opencv-random", "KMEANS_RANDOM_CENTERS", is_slow=True),
    Method("faiss", "faiss Kmeans, defaults", "faiss", _FAISS),
    _pillow("pillow-mediancut", "MEDIANCUT"),
    _pillow("pillow-mediancut-kmeans", "MEDIANCUT", PILLOW_KMEANS),
    _pillow("pillow-maxcoverage", "MAXCOVERAGE"),
    _pillow("pillow-maxcoverage-kmeans", "MAXCOVERAGE", PILLOW_KMEANS),
    _pillow("pillow-octree", "FASTOCTREE"),  # takes no notice of kmeans
    _pillow("pillow-libimagequant", "LIBIMAGEQUANT", lacks=lack_libimagequant),
    Method("dask-ml", "dask-ml KMeans, threads", "dask-ml", _DASK_ML, is_slow=True),
    _pngquant(1),
    _pngquant(3),
    Method("imagemagick", _MAGICK_WORDS, "imagemagick", run_imagemagick, is_command=True),
    Method("gdal", f"{_GDAL_WORDS}, which dithers", "gdal", run_gdal, is_command=True),
    Method(
        "gdal-nearest",
        f"{_GDAL_WORDS}'s colours, not dithered",
        "gdal",
        run_gdal_nearest,
        is_command=True,
    ),
)
"""All methods, in the order in which they run on an image."""
