import dataclasses
import pickle

import pytest

from dask_quant.georeference import GeoReference


def test_a_georeference_is_a_value():
    geo = GeoReference(
        transform=(10.0, 0.0, 5e5, 0.0, -10.0, 4e6), gcps=((0.0, 1.0, 2.0, 3.0, 4.0),)
    )
    again = pickle.loads(pickle.dumps(geo))
    assert again == geo
    assert hash(again) == hash(geo)
    assert again != GeoReference()


def test_a_georeference_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        GeoReference().crs_wkt = "x"
