"""The table of classes, as JSON and as CSV that another reader parses."""

import csv
import io
import json

import numpy as np
import pytest

from dask_quant.class_model import ClassModel
from dask_quant.class_table import ClassTable
from dask_quant.fit.class_statistics import ClassStatistics, StatisticsScale
from dask_quant.fit.features import FeatureMap
from dask_quant.fit.row_block import RowBlock
from dask_quant.fit.row_totals import RowRange

NAMES = ("red", 'nir, "near"', "tab\there")
STATISTICS = ("mean", "std", "min", "max")


@pytest.fixture
def rows():
    """Samples of three bands about 0 and about 100; none about 1000."""
    rng = np.random.default_rng(3)
    return np.concatenate([rng.normal(0, 5, (70, 3)), rng.normal(100, 9, (30, 3))])


@pytest.fixture
def make_table(rows):
    """Return a function that makes the table of three classes, of which the last has no pixel."""

    def make(areas=None, names=NAMES):
        model = ClassModel(np.array([[0.0] * 3, [100.0] * 3, [1000.0] * 3]), names,
                           FeatureMap.plain(3))  # fmt: skip
        block = RowBlock(rows)
        given = StatisticsScale.from_range(RowRange.of(block))
        return ClassTable.from_statistics(
            model, ClassStatistics.of(block, model.centers, given), areas
        )

    return make


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text), strict=True))


def measure(rows):
    """What NumPy says of the rows of a class."""
    return {"mean": rows.mean(0), "std": rows.std(0), "min": rows.min(0), "max": rows.max(0)}


def test_csv_comes_back_from_another_reader(make_table, rows):
    table = make_table(np.array([63.0, 27.0, 0.0]))
    lines = read_csv(table.to_csv())
    first = ["class", "color", "pixels", "share", "area_m2"]
    assert list(lines[0]) == first + [f"{name} {what}" for name in NAMES for what in STATISTICS]
    assert [line["class"] for line in lines] == ["0", "1", "2"]
    assert [line["color"] for line in lines] == list(table.colors)
    assert [int(line["pixels"]) for line in lines] == [70, 30, 0]
    assert [float(line["share"]) for line in lines] == [0.7, 0.3, 0.0]
    assert [float(line["area_m2"]) for line in lines] == [63.0, 27.0, 0.0]
    for line, of_class in zip(lines[:2], (rows[:70], rows[70:]), strict=True):
        for what, expected in measure(of_class).items():
            found = [float(line[f"{name} {what}"]) for name in NAMES]
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_what_is_not_known_is_empty_in_csv_and_null_in_json(make_table):
    table = make_table()
    last = read_csv(table.to_csv())[2]
    assert last["area_m2"] == ""
    assert [last[f"{name} {what}"] for name in NAMES for what in STATISTICS] == [""] * 12
    record = json.loads(table.to_json(), parse_constant=pytest.fail)[2]
    assert record["area_m2"] is None
    assert record["bands"] == [{"name": name} | dict.fromkeys(STATISTICS) for name in NAMES]


def test_csv_has_a_line_for_each_class_and_one_for_the_names(make_table):
    text = make_table().to_csv()
    assert text.count("\n") == 4
    assert "\r" not in text
    assert "nan" not in text


def test_json_holds_the_same_as_csv(make_table):
    table = make_table(np.array([1.5, 2.5, 0.0]))
    records = json.loads(table.to_json())
    assert records == table.to_records()
    for record, line in zip(records, read_csv(table.to_csv()), strict=True):
        for key in ("class", "color", "pixels", "share", "area_m2"):
            assert str(record[key]) == line[key]
        for band in record["bands"]:
            for what in STATISTICS:
                shown = "" if band[what] is None else repr(band[what])
                assert line[f"{band['name']} {what}"] == shown


def test_shares_add_up_and_colors_are_those_of_the_model(make_table):
    table = make_table()
    assert sum(record["share"] for record in table.to_records()) == pytest.approx(1)
    assert len(set(table.colors)) == len(table) == 3
    assert all(len(color) == 7 and color[0] == "#" for color in table.colors)


def test_lows_and_highs_are_samples(make_table, rows):
    table = make_table()
    np.testing.assert_array_equal(table.min[:2], [rows[:70].min(0), rows[70:].min(0)])
    np.testing.assert_array_equal(table.max[:2], [rows[:70].max(0), rows[70:].max(0)])


def test_classes_without_any_pixel_share_nothing():
    model = ClassModel(np.zeros((2, 1)), ("b",), FeatureMap.plain(1))
    nothing = ClassStatistics.empty(
        2, StatisticsScale.from_range(RowRange.of(RowBlock(np.zeros((1, 1)))))
    )
    table = ClassTable.from_statistics(model, nothing, None)
    assert [record["share"] for record in table.to_records()] == [0.0, 0.0]
    assert np.isnan(table.mean).all()
    json.loads(table.to_json(), parse_constant=pytest.fail)
