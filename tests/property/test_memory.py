"""Law 8: measured peak memory stays below the projected peak."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

import dask_quant as dq

N_CODES = 1 << 24

LAPTOP_BYTES = 1_500_000_000
"""What an image of any size must be content with."""


def scattered_colors(n_pixels):
    """The first ``n_pixels`` of a permutation of all 2^24 colours, as ``(n, 3)``."""
    # Multiplying by an odd number modulo a power of two hits every number once.
    codes = np.arange(n_pixels, dtype=np.uint32) * np.uint32(0x9E3779B1) % np.uint32(N_CODES)
    return np.stack([codes >> 16, codes >> 8, codes], axis=-1).astype(np.uint8)


def run(*arguments, command="quantize"):
    done = subprocess.run(
        [sys.executable, "-m", "dask_quant.faces.cli", command, *map(str, arguments), "--json"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def check_peak(source, out, chunks=None, limit=None, **options):
    plan = dq.plan_job(source, out, n_colors=2, chunks=chunks, cluster=limit, **options)
    projected = plan.projected_bytes
    asked = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    if chunks is not None:
        asked.append(f"--chunks={chunks[0]},{chunks[1]}")
    report = run(source, "-o", out, "-k", 2, "--n-init", 1, "--max-iter", 1, *asked)
    # Not by so much that the projection says nothing.
    assert projected / 10 < report["peak_rss_bytes"] < projected
    return report


@pytest.fixture(scope="module")
def every_color(tmp_path_factory):
    """A store in which each of two large blocks holds all colours."""
    store = tmp_path_factory.mktemp("stores") / "all.zarr"
    pixels = np.concatenate([scattered_colors(N_CODES)] * 2).reshape(8192, 4096, 3)
    zarr.create_array(store, data=pixels, chunks=(1024, 1024, 3), compressors=None)
    return store


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "chunks", "options"),
    [
        ("o.zarr", None, {}),
        ("o.png", (4096, 4096), {}),
        ("o.tif", None, {}),
        ("o.zarr", None, {"space": "oklab"}),
        ("o.zarr", None, {"weight_power": 0.5}),
    ],
)
def test_the_projection_holds_with_every_color_there_is(
    every_color, tmp_path, name, chunks, options
):
    limit = dq.ClusterOptions(memory_limit_bytes=LAPTOP_BYTES)
    report = check_peak(every_color, tmp_path / name, chunks, limit, **options)
    assert report["n_unique_colors"] == N_CODES


@pytest.mark.slow
@pytest.mark.parametrize("source", ["store", "picture", "none"])
def test_the_projection_holds_with_every_color_in_saved_counts(every_color, tmp_path, source):
    codes = np.arange(N_CODES, dtype=np.uint32)
    every = dq.ColorHistogram(codes, 1 + codes.astype(np.int64) % 1000)
    dq.write_histogram(every, tmp_path / "all.npz")
    Image.fromarray(scattered_colors(1 << 16).reshape(256, 256, 3)).save(tmp_path / "small.png")
    path = {"store": every_color, "picture": tmp_path / "small.png", "none": None}[source]
    counts = ("--histogram", tmp_path / "all.npz", "--save-histogram", tmp_path / "sum.npz")
    few = ("-k", 2, "--n-init", 1, "--max-iter", 1)
    plain = dq.plan_job(path or tmp_path / "small.png", tmp_path / "o.zarr", histogram=every)
    if path is None:
        report = run("-o", tmp_path / "p.hex", *few, *counts, command="palette")
    else:
        report = run(path, "-o", tmp_path / "o.zarr", *few, *counts)
    assert plain.projected_bytes / 4 < report["peak_rss_bytes"] < plain.projected_bytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dither"), [("o.png", "bayer"), ("o.zarr", "floyd-steinberg"), ("o.gif", "none")]
)
def test_the_projection_holds_with_dithering(tmp_path, name, dither):
    store = tmp_path / "wide.zarr"
    pixels = scattered_colors(1 << 20).reshape(512, 2048, 3)
    array = zarr.create_array(store, shape=(5000, 8192, 3), chunks=(1024, 1024, 3), dtype=np.uint8)
    for row in range(0, 5000, 1000):
        array[row : row + 1000] = np.tile(pixels, (2, 4, 1))[:1000]
    check_peak(store, tmp_path / name, dither=dither)


@pytest.mark.parametrize("engine", ["histogram", "scalable"])
@pytest.mark.parametrize("chunks", [None, (512, 1024)])
def test_the_projection_holds_for_a_file_that_is_decoded_whole(tmp_path, chunks, engine):
    pixels = scattered_colors(1 << 20).reshape(1024, 1024, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=0)
    report = check_peak(tmp_path / "a.png", tmp_path / "o.png", chunks, engine=engine)
    assert report["n_unique_colors"] == 1 << 20


@pytest.mark.slow
def test_the_projection_holds_for_a_codec_that_keeps_more_than_pixels(tmp_path):
    strip = np.repeat(scattered_colors(48)[:, np.newaxis], 250, axis=1).reshape(1, 12_000, 3)
    pixels = np.repeat(strip, 8000, axis=0)
    Image.fromarray(pixels).save(tmp_path / "a.webp", lossless=True, quality=0, method=0)
    report = check_peak(tmp_path / "a.webp", tmp_path / "o.png")
    assert report["peak_rss_bytes"] > 15 * report["n_pixels"]  # Pillow's copy and ours are 7


@pytest.mark.parametrize(
    ("name", "dither", "options"),
    [
        ("o.zarr", "none", {"tile": (256, 256), "compression": "zstd"}),
        ("o.png", "floyd-steinberg", {"tile": (256, 256), "compression": "zstd"}),
        ("o.zarr", "none", {"rowsperstrip": 4096, "compression": "zstd"}),
    ],
)
def test_the_projection_holds_for_a_tiff(tmp_path, name, dither, options):
    pixels = np.tile(scattered_colors(1 << 20).reshape(512, 2048, 3), (8, 2, 1))
    deep = pixels.astype(np.uint16) * np.uint16(257)  # a strip is then twice as large as its pixels
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", **options)
    limit = None if "tile" not in options else dq.ClusterOptions(memory_limit_bytes=LAPTOP_BYTES)
    report = check_peak(tmp_path / "a.tif", tmp_path / name, (1024, 1024), limit, dither=dither)
    assert report["n_unique_colors"] == 1 << 20


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "name"), [("u1", "o.ome.zarr"), ("u2", "o.zarr")])
def test_the_projection_holds_for_a_store_of_bands_first(tmp_path, dtype, name):
    rows, columns = 6000, 8192
    pixels = scattered_colors(1 << 20).reshape(512, 2048, 3).transpose(2, 0, 1).astype(dtype)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(3, rows, columns), chunks=(1, 1024, 1024), dtype=dtype,
        dimension_names=("c", "y", "x"), compressors=None,
    )  # fmt: skip
    for row in range(0, rows, 1000):
        tiles = np.tile(pixels, (1, 2, 4))[:, :1000] * (257 if dtype == "u2" else 1)
        array[:, row : row + 1000] = tiles
    limit = dq.ClusterOptions(memory_limit_bytes=LAPTOP_BYTES)
    report = check_peak(tmp_path / "a.zarr", tmp_path / name, None, limit)
    assert report["n_pixels"] == rows * columns


def test_a_folder_stays_below_its_projection(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(4):
        pixels = scattered_colors(1 << 18)[i::4].reshape(256, 256, 3)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{i}.png", compress_level=0)
    check_peak(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize(
    "options",
    [(), ("--in-memory", "--sieve", 50), ("--workers", 2), ("--persist", "s.zarr", "--pca", 4)],
)
def test_the_projection_holds_for_classes_of_a_raster(tmp_path, options, monkeypatch):
    rasterio = pytest.importorskip("rasterio")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 4000, (3000, 2500, 6), dtype=np.int16)
    samples[rng.random((3000, 2500)) < 0.2] = -1
    with rasterio.open(
        "a.tif", "w", driver="GTiff", height=3000, width=2500, count=6, dtype="int16", nodata=-1,
        tiled=True, crs="EPSG:32633", transform=rasterio.Affine(9, 0, 5e5, 0, -9, 5e6),
    ) as dataset:  # fmt: skip
        dataset.write(samples.transpose(2, 0, 1))
    report = run(
        *("a.tif", "-o", "o.tif", "-k", 3, "--max-iter", 2, *options),
        command="segment",
    )
    assert report["n_excluded"] == np.count_nonzero(samples[..., 0] == -1)
    assert report["projected_bytes"] / 10 < report["peak_rss_bytes"] < report["projected_bytes"]
