"""Segmentation of rasters, from what goes in to what comes out."""

import dask.array as da
import numpy as np
import pytest
import rasterio
import zarr
from rasterio import Affine
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

import dask_quant as dq

HEIGHT, WIDTH, BANDS = 120, 150, 5
NODATA = -9


def make_samples(seed, dtype=np.int16):
    """Six overlapping spectra in patches, and a corner of nodata."""
    rng = np.random.default_rng(seed)
    spectra = rng.uniform(100, 4000, (6, BANDS)) * [1, 1, 1, 1, 0.01]
    patches = rng.integers(0, 6, (HEIGHT // 10, WIDTH // 10)).repeat(10, 0).repeat(10, 1)
    noise = rng.normal(0, 250, (HEIGHT, WIDTH, BANDS)) * [1, 1, 1, 1, 0.01]
    samples = (spectra[patches] + noise).clip(0).astype(dtype)
    samples[:20, :30] = NODATA
    return samples


@pytest.fixture(scope="module")
def samples():
    return make_samples(0)


@pytest.fixture(scope="module")
def valid(samples):
    return (samples != NODATA).all(axis=2)


def write_tif(path, samples, *, nodata=NODATA, left=300_000.0, **options):
    profile = {
        "driver": "GTiff",
        "height": samples.shape[0],
        "width": samples.shape[1],
        "count": samples.shape[2],
        "dtype": samples.dtype,
        "crs": "EPSG:32632",
        "transform": Affine(30.0, 0.0, left, 0.0, -30.0, 5_000_000.0),
        "nodata": nodata,
    }
    with rasterio.open(path, "w", **profile | options) as file:
        file.write(samples.transpose(2, 0, 1))
    return path


def find_features(bands, features):
    """Features, band after band as they are defined."""
    scaled = (bands - features.offset) * features.factor
    if features.components is None:
        return scaled
    found = np.zeros((*bands.shape[:-1], len(features.components)))
    for band, weights in enumerate(features.components.T):
        found += scaled[..., band, np.newaxis] * weights
    return found


def label_by_hand(samples, model):
    """Nearest centre, one feature after the other; the lowest index on ties."""
    features, centers = (find_features(each, model.features) for each in (samples, model.centers))
    distances = np.zeros((*samples.shape[:2], len(centers)))
    for number in range(features.shape[2]):
        distances += (features[..., number, np.newaxis] - centers[:, number]) ** 2
    return distances.argmin(axis=2), distances.min(axis=2)


@pytest.mark.parametrize(
    ("scale", "pca"),
    [("none", None), ("standard", None), ("minmax", None), ("robust", None), ("standard", 2),
     ("none", 0.9), ("robust", 5)],
)  # fmt: skip
def test_labels_and_figures_are_those_of_the_classes(samples, valid, scale, pca, tmp_path):
    out = tmp_path / "classes.tif"
    weights = (1.0, 2.0, 1.0, 0.5, 1.0)
    report = dq.segment(
        *(write_tif(tmp_path / "scene.tif", samples), out),
        n_clusters=6,
        scale=scale,
        pca=pca,
        band_weights=weights,
    )
    labels, distances = label_by_hand(samples.astype(float), report.model)
    with rasterio.open(out) as file:
        written = file.read(1)
        assert (file.nodata, file.dtypes[0]) == (255, "uint8")
    np.testing.assert_array_equal(written, np.where(valid, labels, 255))
    assert report.inertia == pytest.approx(distances[valid].sum(), rel=1e-9)
    assert (report.n_pixels, report.n_excluded) == (valid.size, (~valid).sum())
    table = report.table
    assert list(table.n_pixels) == np.bincount(labels[valid], minlength=6).tolist()
    assert list(table.n_pixels) == sorted(table.n_pixels, reverse=True)
    for number in range(6):
        own = samples[valid & (labels == number)].astype(float)
        np.testing.assert_allclose(table.mean[number], own.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(table.std[number], own.std(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(table.min[number], own.min(axis=0))
        np.testing.assert_array_equal(table.max[number], own.max(axis=0))
        assert table.area_m2[number] == table.n_pixels[number] * 900.0


@pytest.mark.parametrize(
    ("scale", "offset", "spread"),
    [
        ("standard", np.mean, np.std),
        ("minmax", lambda rows, axis: rows.min(axis), lambda rows, axis: np.ptp(rows, axis)),
        (
            "robust",
            np.median,
            lambda rows, axis: np.quantile(rows, 0.75, axis) - np.quantile(rows, 0.25, axis),
        ),
    ],
)
def test_scales_are_what_their_names_say(samples, valid, scale, offset, spread):
    report = dq.segment(samples, n_clusters=3, scale=scale, nodata=NODATA)
    rows = samples[valid].astype(float)
    np.testing.assert_allclose(report.model.features.offset, offset(rows, axis=0), rtol=1e-9)
    np.testing.assert_allclose(report.model.features.factor, 1 / spread(rows, axis=0), rtol=1e-9)


def test_components_are_those_of_all_valid_pixels(samples, valid):
    report = dq.segment(samples, n_clusters=3, scale="standard", pca=2, nodata=NODATA)
    rows = samples[valid].astype(float)
    expected = PCA().fit((rows - rows.mean(axis=0)) / rows.std(axis=0))
    features = report.model.features
    cosines = np.abs((features.components * expected.components_[:2]).sum(axis=1))
    np.testing.assert_allclose(cosines, 1.0, rtol=1e-9)
    np.testing.assert_allclose(features.offset, rows.mean(axis=0), rtol=1e-9)
    shares = expected.explained_variance_ratio_
    assert report.component_shares == pytest.approx(shares[:2].tolist(), rel=1e-6)
    assert report.to_json()["component_shares"] == list(report.component_shares)
    share = float(shares[:2].sum())
    for asked, number in ((share - 1e-6, 2), (share + 1e-6, 3)):
        again = dq.segment(samples, n_clusters=3, scale="standard", pca=asked, nodata=NODATA)
        assert len(again.component_shares) == number


def test_all_components_are_a_rotation_that_changes_nothing(samples):
    plain, turned = (
        dq.segment(samples, n_clusters=4, pca=pca, tol=0, nodata=NODATA) for pca in (None, 5)
    )
    np.testing.assert_allclose(turned.model.centers, plain.model.centers, rtol=1e-9)
    assert turned.inertia == pytest.approx(plain.inertia, rel=1e-9)
    assert turned.n_passes == plain.n_passes + 1
    assert plain.component_shares is None


def test_it_ends_as_low_as_scikit_learns_best_of_ten(samples, valid):
    rows = samples[valid].astype(float)
    theirs = KMeans(6, n_init=10, random_state=0).fit(rows)
    for init in ("k-means++", "k-means||"):
        report = dq.segment(samples, n_clusters=6, nodata=NODATA, init=init, n_init=5)
        assert report.inertia < 1.001 * theirs.inertia_


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
def test_arrays_of_any_type_are_segmented_alike(samples, valid, dtype):
    cast = (samples / 16).clip(0, 255).astype(dtype)
    masked = np.where(valid[..., np.newaxis], cast, 0).astype(dtype)
    masked[~valid] = 0 if np.dtype(dtype).kind in "iu" else np.nan
    nodata = 0 if np.dtype(dtype).kind in "iu" else None
    is_data = np.isfinite(masked).all(axis=2) & (masked != 0).all(axis=2)
    if nodata is None:
        is_data = np.isfinite(masked).all(axis=2)
    report = dq.segment(masked, n_clusters=4, nodata=nodata)
    assert report.n_excluded == (~is_data).sum()
    labels = dq.label_classes(masked, report.model, nodata=nodata).compute()
    expected, _ = label_by_hand(np.nan_to_num(masked.astype(float)), report.model)
    np.testing.assert_array_equal(labels, np.where(is_data, expected, 255))


def test_files_stores_and_arrays_give_the_same_classes(samples, tmp_path):
    store = zarr.create_array(
        tmp_path / "scene.zarr",
        shape=samples.shape,
        chunks=(50, 40, BANDS),
        dtype=samples.dtype,
        attributes={"_FillValue": NODATA},
    )
    store[:] = samples
    tif = write_tif(tmp_path / "scene.tif", samples, tiled=True, blockxsize=64, blockysize=32)
    chunked = da.from_array(samples, chunks=(33, 70, 2))
    reports = [
        dq.segment(tif, tmp_path / "0.zarr", n_clusters=5),
        dq.segment(tmp_path / "scene.zarr", tmp_path / "1.zarr", n_clusters=5),
        dq.segment(samples, tmp_path / "2.zarr", n_clusters=5, nodata=NODATA),
        dq.segment(chunked, tmp_path / "3.zarr", n_clusters=5, nodata=NODATA),
    ]
    first = reports[0]
    for number, report in enumerate(reports):
        np.testing.assert_array_equal(report.model.centers, first.model.centers)
        assert (report.inertia, report.n_passes) == (first.inertia, first.n_passes)
        labels = zarr.open_array(tmp_path / f"{number}.zarr" / "0", mode="r")[:]
        np.testing.assert_array_equal(labels, zarr.open_array(tmp_path / "0.zarr/0", mode="r")[:])


def test_scenes_share_their_classes_and_are_counted_one_by_one(tmp_path):
    scenes = [make_samples(seed)[: 60 + 20 * seed] for seed in (0, 1, 2)]
    paths = [
        write_tif(tmp_path / f"{n}.tif", scene, left=300_000.0 + 4500.0 * n)
        for n, scene in enumerate(scenes)
    ]
    report = dq.segment(paths, tmp_path / "out", n_clusters=5, model_out=tmp_path / "model.json")
    for path, scene, found in zip(paths, scenes, report.scenes, strict=True):
        valid = (scene != NODATA).all(axis=2)
        labels, _ = label_by_hand(scene.astype(float), report.model)
        with rasterio.open(tmp_path / "out" / path.name) as file, rasterio.open(path) as given:
            np.testing.assert_array_equal(file.read(1), np.where(valid, labels, 255))
            assert (file.crs, file.transform) == (given.crs, given.transform)
        assert found.n_excluded == (~valid).sum()
        assert list(found.class_pixels) == np.bincount(labels[valid], minlength=5).tolist()
    together = np.concatenate([scene.reshape(-1, 1, BANDS) for scene in scenes])
    alone = dq.segment(together, n_clusters=5, nodata=NODATA)
    assert report.inertia == alone.inertia

    again = dq.apply_classes(paths[1], tmp_path / "again.tif", tmp_path / "model.json")
    assert (tmp_path / "again.tif").read_bytes() == (tmp_path / "out" / "1.tif").read_bytes()
    assert again.scenes[0].class_pixels == report.scenes[1].class_pixels
    assert (again.inertia, again.n_passes) == (None, 0)


def test_a_raster_without_a_pixel_that_means_anything_is_an_error(tmp_path):
    empty = np.full((7, 8, 2), NODATA, dtype=np.int16)
    with pytest.raises(dq.FitError, match="All 56 pixels are excluded"):
        dq.segment(empty, n_clusters=2, nodata=NODATA)
    assert list(tmp_path.iterdir()) == []


def test_fewer_spectra_than_classes_are_all_classes():
    spectra = np.array([[1, 2], [9, 9], [40, 1]], dtype=np.uint8)
    samples = spectra[np.random.default_rng(0).integers(0, 3, (20, 30))]
    with pytest.warns(dq.FewerClassesWarning, match="only 3 distinct"):
        report = dq.segment(samples, n_clusters=8)
    assert (len(report.model), report.inertia) == (3, 0.0)
    assert {tuple(center) for center in report.model.centers.tolist()} == {(1, 2), (9, 9), (40, 1)}


def test_labels_are_lazy(samples):
    model = dq.segment(samples, n_clusters=3, nodata=NODATA).model
    computed = []

    def read(block):
        computed.append(block.shape)
        return block

    lazy = da.from_array(samples, chunks=(60, 50, 5)).map_blocks(
        read, dtype=samples.dtype, meta=samples[:0, :0, :0]
    )
    labels = dq.label_classes(lazy, model, nodata=NODATA)
    assert computed == []
    assert labels.compute().shape == (HEIGHT, WIDTH)
    assert len(computed) == 6


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_from_256_classes_on_labels_are_uint16(tmp_path):
    samples = np.arange(40 * 30 * 2, dtype=np.float32).reshape(40, 30, 2)
    samples[0, 0] = np.nan
    out = tmp_path / "many.tif"
    report = dq.segment(samples, out, n_clusters=300, n_init=1, max_iter=3)
    with rasterio.open(out) as file:
        labels = file.read(1)
        assert (file.dtypes[0], file.nodata) == ("uint16", 65_535)
    assert labels[0, 0] == 65_535
    assert sorted(set(labels.ravel().tolist()) - {65_535}) == list(range(len(report.model)))


def test_a_plan_that_cannot_fit_is_refused(samples, tmp_path):
    limit = dq.ClusterOptions(memory_limit_bytes=100_000_000)
    with pytest.raises(dq.MemoryBudgetError, match=r"Projected .* exceeds the 100\.0 MB"):
        dq.segment(samples, tmp_path / "out.tif", n_clusters=3, cluster=limit)
    assert list(tmp_path.iterdir()) == []


def test_a_raster_is_never_its_own_output(samples, tmp_path):
    path = write_tif(tmp_path / "scene.tif", samples)
    before = path.read_bytes()
    (tmp_path / "again.tif").symlink_to(path)
    for out in (path, tmp_path / "again.tif", tmp_path):
        with pytest.raises(dq.OutputError, match="both as a raster and as the output"):
            dq.segment(path, out, n_clusters=2, overwrite=True)
    assert path.read_bytes() == before


def test_what_is_no_raster_in_a_folder_is_counted(samples, tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    write_tif(folder / "scene.tif", samples)
    (folder / "notes.txt").write_text("none")
    report = dq.segment(folder, tmp_path / "out", n_clusters=2)
    assert (report.n_ignored, report.to_json()["n_images"]) == (1, 1)
    assert report.outputs == (str(tmp_path / "out" / "scene.tif"),)
