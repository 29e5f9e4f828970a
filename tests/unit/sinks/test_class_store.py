"""What a store of classes says of itself."""

import json

import numpy as np
import pytest
import zarr

from dask_quant.class_model import ClassModel
from dask_quant.fit.features import FeatureMap
from dask_quant.georeference import GeoReference
from dask_quant.sinks.class_store import class_attributes, read_strips
from dask_quant.sinks.store_marker import read_store_palette


def make_model(k=4):
    centers = np.arange(2.0 * k).reshape(k, 2) / 3
    return ClassModel(centers, ("red", "nir"), FeatureMap.plain(2), "standard", 7)


@pytest.mark.parametrize("k", [1, 255, 256, 1000, 5000])
def test_any_number_of_classes_has_attributes_that_are_json(k):
    model = make_model(k)
    attributes = json.loads(json.dumps(class_attributes(model, GeoReference())))
    assert list(attributes) == ["dask_quant"]
    marker = attributes["dask_quant"]
    assert marker["nodata"] == (255 if k < 256 else 65_535)
    colors = [bytes.fromhex(color[1:]) for color in marker["palette"]]
    np.testing.assert_array_equal([list(color) for color in colors], model.colors)


def test_the_model_comes_back_from_the_attributes():
    model = make_model()
    marker = class_attributes(model, GeoReference())["dask_quant"]
    assert ClassModel.from_json(json.dumps(marker["model"])).to_json() == model.to_json()


def test_georeferencing_stands_under_its_names():
    geo = GeoReference(crs_wkt="a system", transform=(30.0, 0.0, 5.0, 0.0, -30.0, 9.0))
    attributes = class_attributes(make_model(), geo)
    assert attributes["proj:wkt2"] == "a system"
    assert attributes["spatial:transform"] == [30.0, 0.0, 5.0, 0.0, -30.0, 9.0]
    assert attributes["spatial:dimensions"] == ["y", "x"]
    alone = class_attributes(make_model(), GeoReference(crs_wkt="a system"))
    assert set(alone) == {"dask_quant", "proj:wkt2"}


def test_the_attributes_make_a_group_a_store_of_ours(tmp_path):
    model = make_model()
    zarr.create_group(tmp_path / "s.zarr", attributes=class_attributes(model, GeoReference()))
    np.testing.assert_array_equal(read_store_palette(tmp_path / "s.zarr").colors, model.colors)


@pytest.mark.parametrize("shape", [(1, 1), (50, 70), (32, 16), (33, 5)])
def test_strips_make_up_the_labels_from_top_to_bottom(shape, tmp_path):
    labels = np.random.default_rng(0).integers(0, 9, shape, dtype=np.uint8)
    array = zarr.create_array(
        tmp_path / "s.zarr" / "0", shape=shape, chunks=(8, 16), shards=(16, 32), dtype=np.uint8
    )
    array[:] = labels
    strips, found = read_strips(tmp_path / "s.zarr")
    assert found == shape
    each = list(strips)
    assert {len(strip) for strip in each[:-1]} <= {8}
    np.testing.assert_array_equal(np.concatenate(each), labels)
