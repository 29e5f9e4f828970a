"""Files of classes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dask_quant.class_model import ClassModel
from dask_quant.errors import (
    OptionError,
    OutputError,
    OutputExistsError,
    PixelFormatError,
    SourceError,
    SourceNotFoundError,
)
from dask_quant.fit.features import FeatureMap
from dask_quant.sinks.class_model_file import read_class_model, write_class_model

MODEL = ClassModel(
    np.array([[0.1, 1 / 3], [2.5, -7.0]]), ("red", "n\N{LATIN SMALL LETTER I WITH DIAERESIS}r"),
    FeatureMap(np.array([0.5, 1.0]), np.array([0.7, 3.0])), "robust", 11,
)  # fmt: skip


TURN = np.array([[0.6, 0.8]])


@pytest.mark.parametrize("components", [None, TURN])
def test_what_is_written_comes_back(components, tmp_path):
    path = tmp_path / "below" / "model.json"
    model = replace(MODEL, features=replace(MODEL.features, components=components))
    n_bytes = write_class_model(model, path)
    assert path.stat().st_size == n_bytes
    again = read_class_model(str(path))
    assert again.to_json() == model.to_json()
    rows = np.array([[3.0, 1 / 7]])
    np.testing.assert_array_equal(again.features.apply(rows), model.features.apply(rows))
    assert list(path.parent.iterdir()) == [path]


def test_the_file_is_plain_json(tmp_path):
    write_class_model(MODEL, tmp_path / "m.json")
    values = json.loads((tmp_path / "m.json").read_bytes())
    assert values["bands"] == list(MODEL.band_names)
    assert values["centers"] == MODEL.centers.tolist()
    assert values["n_clusters"] == 2


def test_a_file_that_exists_is_kept_unless_told(tmp_path):
    path = tmp_path / "m.json"
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_class_model(MODEL, path)
    assert path.read_text() == "mine"
    write_class_model(MODEL, path, overwrite=True)
    assert len(read_class_model(path)) == 2


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/m"):
        write_class_model(MODEL, tmp_path / "file" / "m.json")


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (None, SourceNotFoundError, "there is no such file"),
        (b"", PixelFormatError, "no dask_quant class model"),
        (b"{}", PixelFormatError, "--model-out"),
        (b"\xff\xfe{", SourceError, "utf-8"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(data, kind, text, tmp_path):
    path = tmp_path / "odd\nname.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(kind) as caught:
        read_class_model(path)
    assert "odd\\nname.json" in str(caught.value)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_and_an_impossible_path_are_refused(tmp_path):
    with pytest.raises(SourceError, match=r"(?i)is a directory\.$"):
        read_class_model(tmp_path)
    with pytest.raises(SourceError, match="null"):
        read_class_model("a\0b.json")
    with pytest.raises(OptionError, match="Got int for model"):
        read_class_model(5)
