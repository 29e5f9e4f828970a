"""Label TIFF: layout, pyramid, place on the earth, 64-bit offsets."""

import io
import struct
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile

import dask_quant as dq
from dask_quant.kernels.downsample import halve_labels
from dask_quant.options import Page
from dask_quant.palette import Palette
from dask_quant.sinks import tiff_layout
from dask_quant.sinks.label_file import encode_labels
from dask_quant.sinks.tiff import make_tiff_file
from dask_quant.sinks.tiff_layout import TiffLayout
from dask_quant.sources.reading import NO_ORIGIN, Origin, read_geo_tags

PALETTE = Palette(np.random.default_rng(0).permutation(768).reshape(256, 3) % 256)
UINT8 = np.dtype(np.uint8)


def make_labels(shape):
    rng = np.random.default_rng(1)
    labels = (np.add.outer(np.arange(shape[0]), np.arange(shape[1])) // 40 % 9).astype(np.uint8)
    labels[rng.random(shape) < 0.1] = 200
    return labels


def write(path, labels, origin=NO_ORIGIN):
    path.write_bytes(b"".join(encode_labels(labels, PALETTE, path, origin)))


@contextmanager
def open_raster(path):
    """Open a raster that lies nowhere by rasterio, and skip the test where that is missing."""
    rasterio = pytest.importorskip("rasterio")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            yield dataset


def holds_place(path, shape):
    tags = read_geo_tags(Origin(path), shape)
    return tags is not None and tags.to_extra_tags() != []


def list_levels(labels, n_levels):
    levels = [labels]
    while len(levels) < n_levels:
        levels.append(halve_labels(levels[-1]))
    return levels


@pytest.mark.parametrize("shape", [(50, 70), (1, 300), (300, 1), (64, 64), (15, 16)])
def test_the_pyramid_is_made_by_majorities(tmp_path, shape, small_units):
    labels = make_labels(shape)
    write(tmp_path / "a.tif", labels)
    n_levels = TiffLayout(shape, UINT8).n_levels
    assert -(-max(shape) >> (n_levels - 1)) <= 16 or 2 ** (n_levels - 1) == 32
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert [page.is_reduced for page in file.pages] == [False] + [True] * (n_levels - 1)
        for page, level in zip(file.pages, list_levels(labels, n_levels), strict=True):
            np.testing.assert_array_equal(page.asarray(), level)


def test_directories_come_first_and_tiles_from_the_smallest_level_on(tmp_path, small_units):
    labels = make_labels((50, 70))
    write(tmp_path / "a.tif", labels)
    data = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert not file.is_bigtiff
        directories = [page.offset for page in file.pages]
        tiles = [
            pair
            for page in reversed(list(file.pages))
            for pair in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
    assert directories == sorted(directories)
    offset = tiles[0][0]
    assert directories[-1] < offset
    for place, length in tiles:  # what GDAL says of leaders and trailers
        assert place == offset
        assert data[place - 4 : place] == struct.pack("<I", length)
        assert data[place + length : place + length + 4] == data[place + length - 4 :][:4]
        offset = place + length + 8
    assert offset - 4 == len(data)


def test_gdal_takes_it_for_cloud_optimized(tmp_path):
    labels = make_labels((1100, 700))
    write(tmp_path / "a.tif", labels)
    with open_raster(tmp_path / "a.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.block_shapes == [(512, 512)]
        assert dataset.overviews(1) == [2, 4]
        np.testing.assert_array_equal(dataset.read(1), labels)
        table = dataset.colormap(1)
        small = dataset.read(1, out_shape=(275, 175))
    np.testing.assert_array_equal(small, list_levels(labels, 3)[2])
    assert [table[label][:3] for label in range(256)] == list(map(tuple, PALETTE.colors.tolist()))


def test_gdal_reads_a_colour_table_of_16_bits(tmp_path):
    codes = np.arange(300)
    palette = Palette(np.stack([codes % 256, codes // 256, codes * 7 % 256], axis=1))
    labels = (np.arange(20 * 30).reshape(20, 30) % 300).astype(np.uint16)
    path = tmp_path / "a.tif"
    path.write_bytes(b"".join(encode_labels(labels, palette, path)))
    with open_raster(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), labels)
        table = dataset.colormap(1)
    assert [table[label][:3] for label in range(300)] == list(map(tuple, palette.colors.tolist()))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_the_place_of_a_geotiff_is_kept(tmp_path, order, big):
    rasterio = pytest.importorskip("rasterio")
    labels, source, out = make_labels((60, 40)), tmp_path / "in.tif", tmp_path / "out.tif"
    keys = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633]
    tags = [
        (33550, "d", 3, (10.0, 10.0, 0.0), True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
        (34735, "H", len(keys), keys, True),
        (42113, "s", 0, "0", True),
    ]
    pixels = np.zeros((60, 40, 3), np.uint8)
    tifffile.imwrite(
        source, pixels, photometric="rgb", byteorder=order, bigtiff=big, extratags=tags
    )
    write(out, labels, Origin(source))
    with rasterio.open(source) as before, rasterio.open(out) as after:
        assert (after.crs, after.transform) == (before.crs, before.transform)
        assert after.crs.to_epsg() == 32633
        assert after.nodata is None  # of the samples, not of the labels
        np.testing.assert_array_equal(after.read(1), labels)


def test_no_place_is_made_up(tmp_path):
    scale = [(33550, "d", 3, (1.0, 1.0, 0.0), True)]
    pixels, path = np.zeros((6, 4, 3), np.uint8), tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=scale)
    assert read_geo_tags(Origin(path), (6, 4)).pixel_scale == (1, 1, 0)
    assert read_geo_tags(Origin(str(path)), (4, 6)) is None  # an image of another shape
    assert read_geo_tags(Origin(path, Page(number=1)), (6, 4)) is None  # there is none
    assert read_geo_tags(Origin(io.BytesIO(path.read_bytes())), (6, 4)) is None
    assert read_geo_tags(Origin(pixels), (6, 4)) is None
    assert read_geo_tags(Origin(tmp_path / "none.tif"), (6, 4)) is None
    data = path.read_bytes()
    for length in (0, 3, 9, 40, 150):
        path.write_bytes(data[:length])
        assert not holds_place(path, (6, 4))
    turned = [*scale, (274, "H", 1, 6, True)]
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=turned)
    for shape in ((6, 4), (4, 6)):
        assert not holds_place(path, shape)


def write_places(path, scales):
    """Write a page with two smaller levels for each size of a pixel."""
    with tifffile.TiffWriter(path) as file:
        for scale in scales:
            tags = [
                (33550, "d", 3, (scale, scale, 0.0), True),
                (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True),
                (34735, "H", 8, [1, 1, 0, 1, 3072, 0, 1, 32633], True),
            ]
            pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
            file.write(pixels, photometric="rgb", tile=(16, 16), subifds=2, extratags=tags)
            for step in (2, 4):
                small = pixels[::step, ::step]
                file.write(small, photometric="rgb", tile=(16, 16), subfiletype=1)


@pytest.mark.parametrize("chunks", [None, 16])
@pytest.mark.parametrize(("page", "level"), [(None, 0), (1, 0), (None, 2), (1, 1)])
def test_the_place_is_that_of_the_page_and_level(tmp_path, page, level, chunks, small_units):
    rasterio = pytest.importorskip("rasterio")
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    write_places(source, (10.0, 30.0))
    dq.quantize(source, out, n_colors=4, page=page, level=level, chunks=chunks)
    scale = (10.0, 30.0)[page or 0] * 2**level
    with rasterio.open(out) as after:
        assert tuple(after.transform)[:6] == (scale, 0, 5e5, 0, -scale, 5e6)
        assert after.crs.to_epsg() == 32633
        assert after.shape == (64 >> level, 48 >> level)


def test_texts_and_numbers_of_keys_are_kept(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    profile = {"driver": "GTiff", "height": 20, "width": 30, "count": 3, "dtype": "uint8"}
    crs = rasterio.CRS.from_proj4("+proj=laea +lat_0=52.5 +lon_0=10.25 +ellps=GRS80 +units=m")
    matrix = rasterio.Affine(8, -6, 500_000, -6, -8, 5_000_000)
    source, out = tmp_path / "in.tif", tmp_path / "out.tif"
    with rasterio.open(source, "w", **profile, crs=crs, transform=matrix) as file:
        file.write(np.zeros((3, 20, 30), np.uint8))
    write(out, make_labels((20, 30)), Origin(source))
    with rasterio.open(source) as before, rasterio.open(out) as after:
        assert after.crs == before.crs
        assert after.crs.to_dict()["lon_0"] == 10.25
        assert after.transform == before.transform == matrix


def test_64_bit_offsets_are_a_rule_of_shape_and_type():
    assert not TiffLayout((49_000, 49_000), UINT8).is_big
    assert TiffLayout((60_000, 60_000), UINT8).is_big
    assert TiffLayout((49_000, 49_000), np.dtype(np.uint16)).is_big


def test_64_bit_offsets_are_read(tmp_path, monkeypatch, small_units):
    monkeypatch.setattr(tiff_layout, "_MAX_CLASSIC_BYTES", 10)
    labels = make_labels((50, 70))
    write(tmp_path / "a.tif", labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        assert len(file.pages) == 4
        np.testing.assert_array_equal(file.asarray(), labels)
    with open_raster(tmp_path / "a.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), labels)


def test_the_worst_labels_fit_the_offsets_that_are_planned():
    labels = np.random.default_rng(0).integers(0, 256, (1024, 1024), dtype=np.uint8)
    file = make_tiff_file(labels.shape, UINT8)
    n_bytes = len(b"".join(file.encode(labels, PALETTE)))
    assert n_bytes <= file.layout.max_bytes <= 1.1 * n_bytes


def test_blocks_and_pieces_cover_an_image_of_terapixels():
    layout = TiffLayout((1_000_001, 999_999), UINT8)
    assert layout.block == (4096, 4096)
    assert (layout.n_levels, layout.n_block_levels) == (12, 4)
    assert layout.level_shape(11) == (489, 489)


def test_tags_that_make_no_sense_are_none(tmp_path):
    path = tmp_path / "a.tif"
    head = struct.pack("<2sHIH", b"II", 42, 8, 3)
    text = struct.pack("<HHI4s", 256, 2, 4, b"wide")  # a width in letters
    path.write_bytes(head + text + struct.pack("<HHII", 257, 4, 1, 2) + text)
    assert read_geo_tags(Origin(path), (2, 3)) is None
    path.write_bytes(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**64 - 1))  # a directory nowhere
    assert read_geo_tags(Origin(path), (2, 3)) is None
