"""Label stores as OME-Zarr 0.5: what the specification asks for, and what other readers see."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Label, Reader
from ome_zarr_models.v05 import ImageLabel
from ome_zarr_models.v05.image_label_types import Label as Description

import dask_quant as dq
from dask_quant.errors import OutputError
from dask_quant.kernels.downsample import halve_labels
from dask_quant.palette import Palette
from dask_quant.pixel_grid import PixelGrid
from dask_quant.sinks import store_layout
from dask_quant.sinks.ome_labels import describe_labels, wants_levels
from dask_quant.sinks.store_layout import level_shapes
from dask_quant.sinks.store_levels import list_shards, store_half
from dask_quant.sinks.store_start import start_store, tell_counts
from dask_quant.sinks.zarr_store import count_levels, finish_store, store_block

PALETTE = Palette(np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), np.array([5, 4, 3]))

AXIS_TYPES = {"space", "time", "channel"}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Cut small images into several chunks and shards."""
    monkeypatch.setattr(store_layout, "CHUNK_SIDE", 16)
    monkeypatch.setattr(store_layout, "SHARD_SIDE", 64)


def check_specification(path):
    """Check a group against OME-Zarr 0.5, "multiscales" and "labels"; return its ``ome``."""
    metadata = json.loads((path / "zarr.json").read_text())
    assert (metadata["zarr_format"], metadata["node_type"]) == (3, "group")
    ome = metadata["attributes"]["ome"]
    assert ome["version"] == "0.5"
    (scales,) = ome["multiscales"]
    assert isinstance(scales["name"], str)
    assert isinstance(scales["type"], str)
    assert isinstance(scales["metadata"], dict)
    axes = scales["axes"]
    assert 2 <= len(axes) <= 5
    assert len({axis["name"] for axis in axes}) == len(axes)
    assert {axis["type"] for axis in axes} <= AXIS_TYPES
    assert 2 <= sum(axis["type"] == "space" for axis in axes) <= 3
    sizes, kinds = [], set()
    for dataset in scales["datasets"]:
        array = zarr.open_array(path / dataset["path"], mode="r")
        assert array.metadata.zarr_format == 3
        assert list(array.metadata.dimension_names) == [axis["name"] for axis in axes]
        sizes.append(array.size)
        kinds.add(array.dtype)
        transforms = dataset["coordinateTransformations"]
        assert [each["type"] for each in transforms] in (["scale"], ["scale", "translation"])
        for each in transforms:
            numbers = each[each["type"]]
            assert len(numbers) == len(axes)
            assert all(isinstance(number, float) for number in numbers)
    assert sizes == sorted(sizes, reverse=True)
    assert len(kinds) == 1
    assert kinds.pop().kind in "ui"
    label = ome["image-label"]
    assert set(label) <= {"colors", "properties", "source"}
    for entries in label.values():
        values = [entry["label-value"] for entry in entries]
        assert len(set(values)) == len(values) > 0
        assert all(isinstance(value, int) for value in values)
    for color in label["colors"]:
        assert len(color["rgba"]) == 4
        assert all(isinstance(level, int) and 0 <= level <= 255 for level in color["rgba"])
    return ome


def make_labels(shape, n_colors=3):
    return np.random.default_rng(0).integers(0, n_colors, shape).astype(np.uint8)


def halve_plainly(labels):
    """The majority of each two by two, the lowest on ties, pixel by pixel."""
    rows, columns = (-(-size // 2) for size in labels.shape)
    halved = np.empty((rows, columns), labels.dtype)
    for row, column in np.ndindex(rows, columns):
        cell = labels[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        halved[row, column] = np.bincount(cell.ravel()).argmax()
    return halved


def write_store(final, labels, palette=PALETTE, **options):
    temporary = start_store(final, labels.shape, palette, overwrite=False, **options)
    store_block(temporary, labels, offset=(0, 0))
    for level in range(1, count_levels(temporary)):
        for rows, columns in list_shards(temporary, level):
            store_half(temporary, level, rows, columns)
    finish_store(temporary, final, overwrite=False)


def test_a_plain_store_is_a_label_image_of_one_level(tmp_path):
    write_store(tmp_path / "a.zarr", make_labels((70, 80)))
    ome = check_specification(tmp_path / "a.zarr")
    assert [dataset["path"] for dataset in ome["multiscales"][0]["datasets"]] == ["0"]
    assert sorted(os.listdir(tmp_path / "a.zarr")) == ["0", "zarr.json"]
    assert ome["image-label"] == {
        "colors": [
            {"label-value": 0, "rgba": [1, 2, 3, 255]},
            {"label-value": 1, "rgba": [4, 5, 6, 255]},
            {"label-value": 2, "rgba": [7, 8, 9, 255]},
        ],
        "properties": [
            {"label-value": 0, "hex": "#010203", "count": 5},
            {"label-value": 1, "hex": "#040506", "count": 4},
            {"label-value": 2, "hex": "#070809", "count": 3},
        ],
    }


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (130, 201), (3, 500), (257, 64)])
def test_levels_are_majorities_of_the_level_before(tmp_path, shape):
    path, labels = tmp_path / "a.ome.zarr", make_labels(shape)
    write_store(path, labels)
    datasets = check_specification(path)["multiscales"][0]["datasets"]
    levels = [zarr.open_array(path / dataset["path"], mode="r") for dataset in datasets]
    assert [array.shape for array in levels] == level_shapes(shape)
    assert max(levels[-1].shape) <= 16
    expected = labels
    for array in levels:
        assert np.array_equal(array[:], expected)
        assert array.shards == store_layout.label_shards(array.shape)
        expected = halve_plainly(expected)


def test_where_pixels_lie_is_told_of_every_level(tmp_path):
    grid = PixelGrid((0.5, 0.25), (10.0, 20.0), ("micrometer", "micrometer"))
    write_store(tmp_path / "a.ome.zarr", make_labels((40, 30)), grid=grid)
    (scales,) = check_specification(tmp_path / "a.ome.zarr")["multiscales"]
    assert [axis["unit"] for axis in scales["axes"]] == ["micrometer"] * 2
    for level, dataset in enumerate(scales["datasets"]):
        scale, translation = dataset["coordinateTransformations"]
        assert scale["scale"] == [0.5 * 2**level, 0.25 * 2**level]
        # The middle of the pixels that the first one covers.
        covered = np.arange(2**level)
        middle = [10 + 0.5 * covered.mean(), 20 + 0.25 * covered.mean()]
        assert translation["translation"] == middle


def test_counts_that_are_told_later_are_in_both_places(tmp_path):
    temporary = start_store(tmp_path / "a.zarr", (9, 7), PALETTE, overwrite=False)
    tell_counts(temporary, Palette(PALETTE.colors, np.array([9, 8, 7])))
    ome = check_specification(temporary)
    assert [entry["count"] for entry in ome["image-label"]["properties"]] == [9, 8, 7]
    attributes = zarr.open_group(temporary, mode="r").attrs
    assert attributes["dask_quant"]["counts"] == [9, 8, 7]


def test_pixels_without_a_label_are_transparent():
    label = describe_labels(np.zeros((2, 3), np.uint8), nodata=255)
    assert label["colors"][-1] == {"label-value": 255, "rgba": [0, 0, 0, 0]}
    assert label["properties"][-1] == {"label-value": 255, "nodata": True}
    assert len(label["properties"]) == 3


def test_metadata_of_very_many_labels_stay_small():
    codes = np.arange(5000)
    colors = np.stack([codes >> 8, codes & 255, codes * 0], axis=1).astype(np.uint8)
    label = describe_labels(colors, codes.tolist())
    assert list(label) == ["colors"]
    assert len(label["colors"]) == 5000
    assert len(Description.model_validate(label).colors) == 5000


def test_a_store_without_all_its_levels_is_not_finished(tmp_path):
    temporary = start_store(tmp_path / "a.ome.zarr", (40, 30), PALETTE, overwrite=False)
    store_block(temporary, make_labels((40, 30)), offset=(0, 0))
    with pytest.raises(OutputError, match="0 of 1 shards"):
        finish_store(temporary, tmp_path / "a.ome.zarr", overwrite=False)


def test_the_name_alone_asks_for_levels():
    assert wants_levels(Path("a/b.OME.zarr"))
    assert not wants_levels(Path("a.ome.zarr/b.zarr"))


@pytest.mark.parametrize("dither", ["none", "bayer", "floyd-steinberg"])
def test_every_way_writes_the_same_levels(tmp_path, digest_output, photo, dither):
    picture, out = photo[100:150, 200:280], tmp_path / "whole.ome.zarr"
    options = {"n_colors": 5, "n_init": 1, "dither": dither}
    dq.quantize(picture, out, **options)
    for number, chunks in enumerate([(20, 33), (50, 16)]):
        path = tmp_path / f"{number}.ome.zarr"
        cluster = dq.ClusterOptions(scheduler=["threads", "synchronous"][number])
        dq.quantize(picture, path, chunks=chunks, cluster=cluster, **options)
        assert digest_output(path) == digest_output(out)
    check_specification(out)
    levels = zarr.open_group(out, mode="r")
    assert np.array_equal(levels["1"][:], halve_labels(levels["0"][:]))
    assert levels["3"].shape == (7, 10)


def test_scales_and_colors_of_an_image_come_out_with_its_labels(tmp_path, photo):
    source, out = tmp_path / "a.zarr", tmp_path / "o.ome.zarr"
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "yx"]
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for level, scale in enumerate([[1, 20.0, 30.0], [1, 40.0, 60.0]])
    ]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group = zarr.create_group(source, attributes={"ome": ome})
    pixels = photo[:60, :80].transpose(2, 0, 1)
    for name, data in (("0", pixels), ("1", pixels[:, ::2, ::2])):
        group.create_array(name, data=np.ascontiguousarray(data), chunks=(1, 16, 16))
    notices = []
    report = dq.quantize(source, out, n_colors=4, listener=notices.append)
    assert dq.Notice(f"Reading the 3 channels of {source} as red, green and blue.") in notices
    written = check_specification(out)
    scales = written["multiscales"][0]
    assert [axis["unit"] for axis in scales["axes"]] == ["nanometer"] * 2
    first = scales["datasets"][0]["coordinateTransformations"]
    assert first == [{"type": "scale", "scale": [20.0, 30.0]}]
    hexes = [entry["hex"] for entry in written["image-label"]["properties"]]
    assert hexes == report.palette.hex
    expected = dq.quantize(np.ascontiguousarray(photo[:60, :80]), tmp_path / "n.zarr", n_colors=4)
    assert (report.palette, report.mse) == (expected.palette, expected.mse)
    dq.quantize(source, tmp_path / "half.zarr", n_colors=4, level=1)
    half = check_specification(tmp_path / "half.zarr")["multiscales"][0]["datasets"][0]
    assert half["coordinateTransformations"] == [{"type": "scale", "scale": [40.0, 60.0]}]
    assert zarr.open_array(tmp_path / "half.zarr" / "0", mode="r").shape == (30, 40)


def read_labels(path):
    """Return the one label image of a store, as the reference reader has it."""
    (node,) = Reader(parse_url(path, mode="r"))()
    assert any(isinstance(spec, Label) for spec in node.specs)
    return node


def check_levels(path, labels, grid):
    """Check pixels, places and metadata of all levels against readers that are not ours."""
    node = read_labels(path)
    model = ImageLabel.from_zarr(zarr.open_group(path, mode="r"))
    (scales,) = model.ome_attributes.multiscales
    assert [axis["name"] for axis in node.metadata["axes"]] == ["y", "x"]
    assert [axis.get("unit") for axis in node.metadata["axes"]] == list(grid.units)
    assert len(node.data) == len(scales.datasets)
    transforms = node.metadata["coordinateTransformations"]
    expected = labels
    for level, (data, placed) in enumerate(zip(node.data, transforms, strict=True)):
        np.testing.assert_array_equal(data.compute(scheduler="synchronous"), expected)
        expected = halve_plainly(expected)
        # Two corners by way of the middles of the pixels that are covered.
        factor = 2**level
        stated = {each["type"]: np.array(each[each["type"]]) for each in placed}
        assert stated["scale"].tolist() == [side * factor for side in grid.scale]
        middles = [
            [o + s * np.arange(n * factor, (n + 1) * factor).mean() for n in (0, 3)]
            for o, s in zip(grid.offset, grid.scale, strict=True)
        ]
        shift = stated.get("translation", np.zeros(2))
        np.testing.assert_allclose(
            shift[:, None] + stated["scale"][:, None] * [0, 3], middles, rtol=1e-12
        )
    return node


@pytest.mark.parametrize("name", ["a.zarr", "a.ome.zarr"])
@pytest.mark.parametrize("n_colors", [5, 300])
def test_other_readers_see_labels_colors_and_counts(tmp_path, photo, label_oracle, name, n_colors):
    picture, out = photo[100:237, 200:301], tmp_path / name
    report = dq.quantize(picture, out, n_colors=n_colors, n_init=1, effort="fast")
    assert len(report.palette) == n_colors
    labels, _ = label_oracle(picture, report.palette.colors)
    node = check_levels(out, labels, PixelGrid())
    assert len(node.data) == (5 if name == "a.ome.zarr" else 1)
    assert node.data[0].dtype == (np.uint8 if n_colors == 5 else np.uint16)
    shown = np.array([node.metadata["color"][label] for label in range(n_colors)])
    np.testing.assert_array_equal(shown[:, :3] * 255, report.palette.colors)
    assert set(shown[:, 3]) == {1.0}
    told = [node.metadata["properties"][label]["count"] for label in range(n_colors)]
    assert told == np.bincount(labels.ravel()).tolist()


def test_other_readers_see_where_pixels_lie_in_every_level(tmp_path):
    grid = PixelGrid((0.5, 0.25), (10.0, 20.0), ("micrometer", "nanometer"))
    labels = make_labels((70, 90))
    write_store(tmp_path / "a.ome.zarr", labels, grid=grid)
    node = check_levels(tmp_path / "a.ome.zarr", labels, grid)
    assert len(node.data) == 4


def test_other_readers_see_pixels_without_a_class_as_transparent(tmp_path):
    samples = np.random.default_rng(3).integers(0, 50, (40, 50, 2)).astype(np.float32)
    samples[5:9, 6:20] = np.nan
    dq.segment(samples, tmp_path / "a.ome.zarr", n_clusters=3)
    node = read_labels(tmp_path / "a.ome.zarr")
    ImageLabel.from_zarr(zarr.open_group(tmp_path / "a.ome.zarr", mode="r"))
    colors, labels = node.metadata["color"], node.data[0].compute(scheduler="synchronous")
    assert [tuple(colors[label])[3] for label in (0, 1, 2, 255)] == [1, 1, 1, 0]
    np.testing.assert_array_equal(labels == 255, np.isnan(samples[..., 0]))
    assert set(colors) >= set(np.unique(labels).tolist())
