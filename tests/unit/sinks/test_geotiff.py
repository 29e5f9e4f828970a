import os
import resource
import signal
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest
import tifffile

from dask_quant.errors import OutputError, OutputExistsError
from dask_quant.georeference import GeoReference
from dask_quant.sinks import geotiff
from dask_quant.sinks.geotiff import write_label_raster
from dask_quant.sources.gdal_state import borrow_gdal
from dask_quant.sources.raster_file import read_raster_header

rasterio = pytest.importorskip("rasterio")

UTM = (10.0, 0.0, 500000.0, 0.0, -20.0, 4000000.0)
TURNED = (6.0, 8.0, 500000.0, 8.0, -6.0, 4000000.0)
POINTS = ((0.0, 0.0, 7.0, 45.5, 1.5), (69.0, 89.0, 8.0, 44.0, 0.0), (0.0, 89.0, 8.0, 45.5, 0.0))
RPCS = {
    **{"ERR_BIAS": "-1", "ERR_RAND": "-1", "HEIGHT_OFF": "100", "HEIGHT_SCALE": "500"},
    **{"LAT_OFF": "45.1", "LAT_SCALE": "0.1", "LONG_OFF": "7.2", "LONG_SCALE": "0.123456789"},
    **{"LINE_OFF": "50", "LINE_SCALE": "50", "SAMP_OFF": "60", "SAMP_SCALE": "60"},
    **{"LINE_NUM_COEFF": " ".join(["0.125"] * 20), "LINE_DEN_COEFF": " ".join(["1"] * 20)},
    **{"SAMP_NUM_COEFF": " ".join(["0.25"] * 20), "SAMP_DEN_COEFF": " ".join(["2"] * 20)},
}


def to_wkt(code):
    return rasterio.crs.CRS.from_user_input(code).to_wkt(version="WKT2_2019")


def make_labels(shape, n_colors=7, dtype="uint8", nodata=255, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_colors, shape).astype(dtype)
    labels[rng.integers(0, 5, shape) == 0] = nodata
    return labels


def make_colors(n_colors=7):
    return np.random.default_rng(1).integers(1, 256, (n_colors, 3), dtype=np.uint8)


def cut(labels, rows):
    return (labels[top : top + rows] for top in range(0, len(labels), rows))


def write(path, labels, *, rows=100, **options):
    options = {"shape": labels.shape, "dtype": labels.dtype, "nodata": 255} | options
    options = {"colors": make_colors(), "geo": GeoReference(), "overwrite": False} | options
    strips = options.pop("strips", None) or cut(labels, rows)
    return write_label_raster(path, strips, **options)


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 32 pixels, or 128 with overviews, so that small images have several."""
    monkeypatch.setattr(geotiff, "TILE_SIDE", 32)


def open_raster(path, **options):
    return rasterio.open(path, **options)


@pytest.fixture(autouse=True)
def gdal():
    """Let the tests open what has no georeferencing."""
    with borrow_gdal():
        yield


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (70, 90), (16, 512), (530, 600)])
@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 255), ("uint8", 3), ("uint16", 65535)])
def test_other_readers_read_back_the_labels(tmp_path, shape, dtype, nodata, cog):
    path, labels = tmp_path / "a.tif", make_labels(shape, dtype=dtype, nodata=nodata)
    n_bytes = write(path, labels, nodata=nodata, cog=cog)
    assert n_bytes == path.stat().st_size
    assert os.listdir(tmp_path) == ["a.tif"]
    with open_raster(path) as dataset:
        assert (dataset.count, dataset.dtypes, dataset.nodata) == (1, (dtype,), nodata)
        assert dataset.profile["compress"] == "deflate"
        np.testing.assert_array_equal(dataset.read(1), labels)
        np.testing.assert_array_equal(dataset.read_masks(1) != 0, labels != nodata)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        np.testing.assert_array_equal(page.asarray(), labels)
        assert page.is_tiled
        assert page.predictor == 1
        assert page.photometric == tifffile.PHOTOMETRIC.PALETTE


def test_tiles_have_512_pixels_a_side_or_hold_a_small_image(tmp_path):
    for shape, tile in {(530, 600): (512, 512), (70, 17): (80, 32), (16, 600): (16, 512)}.items():
        write(tmp_path / "a.tif", make_labels(shape), overwrite=True)
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            assert file.pages[0].tile == tile


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize(
    ("dtype", "n_colors", "nodata"),
    [("uint8", 7, 255), ("uint8", 256, 4), ("uint16", 1000, 65535), ("uint16", 1000, 1000)],
)
def test_the_colour_table_is_read_back(tmp_path, dtype, n_colors, nodata, cog):
    path, colors = tmp_path / "a.tif", make_colors(n_colors)
    labels = make_labels((70, 90), n_colors, dtype, nodata)
    write(path, labels, colors=colors, nodata=nodata, cog=cog)
    with open_raster(path) as dataset:
        table = dataset.colormap(1)
    assert table.pop(nodata) == (0, 0, 0, 0)
    expected = {label: (*map(int, color), 255) for label, color in enumerate(colors)}
    expected.pop(nodata, None)
    assert {label: table[label] for label in expected} == expected
    with tifffile.TiffFile(path) as file:
        stored = file.pages[0].colormap.T
    kept = [label for label in range(n_colors) if label != nodata]
    np.testing.assert_array_equal(stored[kept] >> 8, colors[kept])


@pytest.mark.parametrize("rows", [1, 7, 31, 32, 33, 64, 200])
def test_strips_may_have_any_number_of_rows(tmp_path, small_tiles, rows):
    labels = make_labels((130, 70))
    write(tmp_path / "a.tif", labels, rows=rows)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels)


def test_strips_may_be_empty_and_uneven_and_not_contiguous(tmp_path, small_tiles):
    labels = make_labels((130, 70))
    turned = np.asfortranarray(labels)
    strips = [turned[:0], turned[:50], turned[50:51], turned[51:51], turned[51:]]
    write(tmp_path / "a.tif", labels, strips=strips)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels)


@pytest.mark.parametrize("cog", [False, True])
def test_the_bytes_do_not_depend_on_strips_or_names(tmp_path, small_tiles, cog):
    labels = make_labels((300, 260))
    geo = GeoReference(crs_wkt=to_wkt("EPSG:32631"), transform=UTM)
    for name, rows in [("a.tif", 300), ("other.tiff", 17)]:
        write(tmp_path / name, labels, rows=rows, geo=geo, cog=cog)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "other.tiff").read_bytes()


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize(
    "geo",
    [
        GeoReference(),
        GeoReference(crs_wkt="EPSG:32631", transform=UTM),
        GeoReference(crs_wkt="EPSG:2263", transform=TURNED),
        GeoReference(crs_wkt="EPSG:4326", transform=(0.1, 0.0, 7.0, 0.0, -0.1, 45.0)),
        GeoReference(transform=UTM),
        GeoReference(gcps=POINTS, gcps_crs_wkt="EPSG:4326"),
        GeoReference(rpcs=tuple(sorted(RPCS.items()))),
    ],
    ids=["none", "utm", "turned feet", "degrees", "transform alone", "points", "rpcs"],
)
def test_georeferencing_comes_back(tmp_path, geo, cog):
    systems = geo.crs_wkt and to_wkt(geo.crs_wkt), geo.gcps_crs_wkt and to_wkt(geo.gcps_crs_wkt)
    geo = GeoReference(systems[0], geo.transform, geo.gcps, systems[1], geo.rpcs)
    labels = make_labels((70, 90))
    write(tmp_path / "a.tif", labels, geo=geo, cog=cog)
    with open_raster(tmp_path / "a.tif") as dataset:
        assert tuple(dataset.transform)[:6] == (geo.transform or (1, 0, 0, 0, 1, 0))
        assert dataset.crs == (geo.crs_wkt and rasterio.crs.CRS.from_wkt(geo.crs_wkt))
        points, system = dataset.gcps
        assert tuple((p.row, p.col, p.x, p.y, p.z) for p in points) == geo.gcps
        assert system == (geo.gcps_crs_wkt and rasterio.crs.CRS.from_wkt(geo.gcps_crs_wkt))
        assert dataset.tags(ns="RPC") == dict(geo.rpcs)
    assert os.listdir(tmp_path) == ["a.tif"]


def test_what_was_read_is_what_is_written(tmp_path):
    source = tmp_path / "source.tif"
    options = {"driver": "GTiff", "count": 2, "height": 70, "width": 90, "dtype": "int16"}
    with rasterio.open(
        source, "w", crs="EPSG:32631", transform=rasterio.transform.Affine(*UTM), **options
    ) as dataset:
        dataset.write(np.ones((2, 70, 90), dtype=np.int16))
    geo = read_raster_header(source).geo
    write(tmp_path / "a.tif", make_labels((70, 90)), geo=geo)
    with open_raster(tmp_path / "a.tif") as written, open_raster(source) as dataset:
        assert (written.crs, written.transform) == (dataset.crs, dataset.transform)
        assert written.bounds == dataset.bounds


def test_a_transform_goes_before_control_points(tmp_path):
    geo = GeoReference(to_wkt("EPSG:32631"), UTM, POINTS, to_wkt("EPSG:4326"))
    write(tmp_path / "a.tif", make_labels((70, 90)), geo=geo)
    with open_raster(tmp_path / "a.tif") as dataset:
        assert tuple(dataset.transform)[:6] == UTM
        assert dataset.crs.to_epsg() == 32631
        assert dataset.gcps == ([], None)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_overviews_hold_labels_and_never_averages(tmp_path, small_tiles, dtype):
    labels = make_labels((600, 500), 7, dtype) // 2 * 2  # an average would be odd
    labels[labels == 254] = 100
    labels[:256, :256] = 100
    path = tmp_path / "a.tif"
    write(path, labels, nodata=100, cog=True)
    with open_raster(path) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1) == [2, 4, 8]
    for level in range(3):
        with open_raster(path, overview_level=level) as dataset:
            overview = dataset.read(1)
        assert set(np.unique(overview)) <= set(np.unique(labels))
        side = 256 // 2 ** (level + 1) - 1  # 500 is no multiple of 8
        assert (overview[:side, :side] == 100).all()
        assert (overview != 100).any()


def test_overviews_lie_before_the_pixels(tmp_path, small_tiles):
    write(tmp_path / "a.tif", make_labels((600, 500)), cog=True)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        starts = [min(page.dataoffsets) for page in file.pages]
        directories = [page.offset for page in file.pages]
    assert starts == sorted(starts, reverse=True)
    assert max(directories) < min(starts)


def expect_nothing(tmp_path):
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dtype": "int16"}, "int16"),
        ({"nodata": 256}, "0 to 255"),
        ({"nodata": -1}, "0 to 255"),
        ({"colors": make_colors(257)}, "257 colours"),
        ({"colors": make_colors() / 255}, "float64"),
        ({"colors": make_colors().ravel()}, "shape"),
        ({"shape": (0, 90)}, "at least one pixel"),
        ({"shape": (71, 90)}, "strips of 70 rows"),
        ({"shape": (69, 90)}, "strips of 70 rows"),
        ({"shape": (70, 91)}, r"uint8 \(rows, 91\)"),
        ({"dtype": "uint16"}, r"uint16 \(rows, 90\)"),
        ({"strips": [np.zeros(90, np.uint8)]}, r"uint8 \(rows, 90\)"),
        ({"geo": GeoReference(crs_wkt="PROJCRS[")}, "Cannot write"),
    ],
)
@pytest.mark.parametrize("cog", [False, True])
def test_what_does_not_fit_together_is_refused(tmp_path, changes, said, cog):
    with pytest.raises(OutputError, match=said) as caught:
        write(tmp_path / "a.tif", make_labels((70, 90)), cog=cog, **changes)
    assert "\n" not in str(caught.value)
    expect_nothing(tmp_path)


def test_an_existing_file_is_kept_before_any_strip_is_asked_for(tmp_path):
    (tmp_path / "a.tif").write_text("mine")

    def never():
        raise AssertionError("a strip was asked for")
        yield

    with pytest.raises(OutputExistsError):
        write(tmp_path / "a.tif", make_labels((70, 90)), strips=never())
    assert (tmp_path / "a.tif").read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path):
    labels = make_labels((70, 90))

    def appear():
        yield labels
        (tmp_path / "a.tif").write_text("mine")

    with pytest.raises(OutputExistsError):
        write(tmp_path / "a.tif", labels, strips=appear())
    assert (tmp_path / "a.tif").read_text() == "mine"
    assert os.listdir(tmp_path) == ["a.tif"]


def test_an_existing_file_is_replaced_on_demand(tmp_path):
    (tmp_path / "a.tif").write_text("old")
    labels = make_labels((70, 90))
    write(tmp_path / "a.tif", labels, overwrite=True)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels)


def test_what_the_strips_raise_is_passed_on(tmp_path):
    def fail():
        yield make_labels((10, 90))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.tif", make_labels((70, 90)), strips=fail())
    expect_nothing(tmp_path)


def test_parent_folders_are_made_and_long_names_fit(tmp_path, small_tiles):
    path = tmp_path / "new" / ("a" * 251 + ".tif")
    labels = make_labels((70, 90))
    write(path, labels, cog=True)
    with open_raster(path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), labels)
    assert os.listdir(path.parent) == [path.name]


def test_permissions_are_what_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        for cog in (False, True):
            write(tmp_path / "a.tif", make_labels((70, 90)), cog=cog, overwrite=True)
            assert (tmp_path / "a.tif").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_without_rasterio_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(OutputError, match=r"pip install \"dask-quant\[geo\]\""):
        write(tmp_path / "a.tif", make_labels((70, 90)))
    expect_nothing(tmp_path)


def test_pixels_that_read_back_differently_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(geotiff, "_sum_pixels", lambda dataset: 0)
    with pytest.raises(OutputError, match="reads back differently"):
        write(tmp_path / "a.tif", make_labels((70, 90)))
    expect_nothing(tmp_path)


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from dask_quant.errors import OutputError
from dask_quant.georeference import GeoReference
from dask_quant.sinks.geotiff import write_label_raster

folder, limit, cog = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
labels = np.random.default_rng(0).integers(0, 200, (600, 600), dtype=np.uint8)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    n_bytes = write_label_raster(
        folder / "a.tif", [labels], shape=labels.shape, dtype="uint8", nodata=255, cog=cog,
        colors=np.zeros((200, 3), np.uint8), geo=GeoReference(), overwrite=False,
    )
except OutputError as error:
    print(error)
else:
    print(n_bytes)
"""


def write_to_full_disk(folder, limit, cog):
    """Write in a process whose files must not grow beyond ``limit`` bytes; return what it says."""
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), folder, str(limit), str(cog)]
    # Python ignores the signal for a file that is too large; its children must, too.
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("cog", [False, True])
def test_a_full_disk_is_an_error_even_for_the_last_byte(tmp_path, cog):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    n_bytes = int(write_to_full_disk(tmp_path, 0, cog))
    (tmp_path / "a.tif").unlink()
    for limit in (100, n_bytes // 2, n_bytes - 3000, n_bytes - 50):
        said = write_to_full_disk(tmp_path, limit, cog)
        assert said.startswith("Cannot write"), limit
        assert "\n" not in said
        expect_nothing(tmp_path)
    assert int(write_to_full_disk(tmp_path, n_bytes, cog)) == n_bytes


def test_memory_is_a_tile_row_and_a_strip(tmp_path):
    labels = np.zeros((100, 4096), dtype=np.uint8)
    n_strips = 40

    def repeat():
        for _ in range(n_strips):
            yield labels.copy()

    tracemalloc.start()
    write(tmp_path / "a.tif", labels, strips=repeat(), shape=(100 * n_strips, 4096))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 512 * 4096 + 2 * labels.nbytes + 2**20
