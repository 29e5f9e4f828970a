"""The house rules, read off the imports and calls of every module.

A rule is a function from modules to findings, one line for each. It is run on the package, and on
small modules that break it.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import dask_quant

ROOT = "dask_quant"

LAYERS = (
    # Plain arrays and values: no Dask, no files.
    "errors",
    "options",
    "option_texts",
    "given_colors",
    "alpha_options",
    "method_options",
    "refit_options",
    "fit_options",
    "segment_options",
    "events",
    "process",
    "board",
    "rich_display",
    "georeference",
    "pixel_grid",
    "premultiplied",
    "kernels",
    "color_spaces",
    "color_difference",
    "histogram",
    "palette",
    "results",
    "image_rows",
    "report_rows",
    "report_page",
    "knee",
    "palette_formats",
    "point_groups",
    "tables",
    "dithering",
    "borders",
    "fit",
    "color_curve",
    "class_model",
    "class_scores",
    "class_table",
    "segment_report",
    "fit_memory",
    "chunking",
    "raster_plan",
    # Bytes to lazy arrays, lazy arrays to lazy arrays, labels to bytes.
    "sources",
    "graphs",
    "sinks",
    # Where and how it is computed, and how that is watched.
    "listening",
    "worker_check",
    "connections",
    "first_worker",
    "scaling",
    "local_cluster",
    "cluster",
    "cluster_tasks",
    "waves",
    "thread_tasks",
    "execute",
    "performance",
    "job_record",
    "watching",
    "dashboard",
    "board_client",
    "detached",
    # Rows of numbers across a cluster.
    "row_flow",
    "row_input",
    "scalable",
    # Counts of earlier images.
    "saved_counts",
    # One image in memory, one image in chunks, many images; then the way that a call takes.
    "flow",
    "kept_outcome",
    "workplace",
    "kept_parts",
    "engine_flow",
    "array_flow",
    "kept_counts",
    "dither_flow",
    "dither_plan",
    "stream_flow",
    "raster_flow",
    "class_output",
    "outline_flow",
    "persist",
    "collection",
    "report_pictures",
    "routes",
    # Pages about jobs that are done.
    "job_report",
    # What values look like in a notebook.
    "displays",
    # What users call. The faces come last, for they call what the package exports.
    "comparison",
    "color_choice",
    "image_infos",
    "job_plans",
    "pipeline",
    "segmentation",
    "arrays",
    "estimator",
    "accessor",
    "__init__",
    "faces",
)
"""Modules and subpackages; each imports only what stands above it. New ones get a place here."""

PURE_LAYERS = LAYERS[: LAYERS.index("raster_plan") + 1]
"""Layers that know neither Dask nor files, so that plain arrays test them."""

LAZY_LAYERS = ("sources", "graphs")
"""Layers that build graphs and never compute."""

THIRD_PARTY = {
    "numpy": LAYERS,
    "numba": ("kernels",),
    "dask": (
        *(
            "sources",
            "graphs",
            *("local_cluster", "cluster", "cluster_tasks", "waves", "thread_tasks"),
            "execute",
            *("kept_parts", "engine_flow"),
            "array_flow",
            "kept_counts",
            "dither_flow",
            "stream_flow",
            "persist",
            "job",
            "arrays",
        ),
        *("raster_flow", "class_output", "outline_flow", "segmentation", "accessor", "estimator"),
        *("row_flow", "row_input", "scalable"),
    ),
    "distributed": (
        *("worker_check", "connections", "first_worker", "scaling", "local_cluster", "cluster"),
        *("cluster_tasks", "waves", "execute", "performance"),
        *("dashboard", "board_client", "detached"),
        # They take the client that a user has.
        *("arrays", "color_choice", "image_infos", "job_plans", "pipeline", "segmentation"),
    ),
    "tornado": ("dashboard",),
    "dask_ml": ("graphs", "row_input", "scalable"),
    "zarr": ("sources", "sinks"),
    "fsspec": ("sources",),
    "aiohttp": ("sources",),
    "numcodecs": ("sources",),
    "google_crc32c": ("sources",),
    "imagecodecs": ("sources", "sinks"),
    "PIL": ("sources", "sinks"),
    "rasterio": ("sources", "sinks"),
    "tifffile": ("sources",),
    "sklearn": ("fit", "class_scores", "row_input", "scalable", "estimator"),
    "matplotlib": ("palette", "sinks"),
    "pyvips": ("sources",),
    "pyarrow": ("sources",),
    "pi_heif": ("sources",),
    "xarray": ("accessor",),
    "click": ("faces",),
    "rich": ("faces",),
}
"""Which layers know which package. None that is missing here is used at all."""

SLOW_PACKAGES = (
    "aiohttp",
    "dask_ml",
    "distributed",
    "imagecodecs",
    "matplotlib",
    "pi_heif",
    "pyarrow",
    "pyvips",
    "rasterio",
    "rich",
    "sklearn",
)
"""Packages that may be imported inside a function: optional, or too slow for every start."""

FACES_KNOW = (
    *(
        "errors",
        "alpha_options",
        "method_options",
        "options",
        "option_texts",
        "fit_options",
        "segment_options",
        "events",
        "process",
    ),
    *("__init__", "faces"),
)
"""What the faces import when they run: the exported names, how to ask and to listen, whose the
process is."""

IMPORTS_WITHIN = {
    f"{ROOT}.routes.choose": "a photograph from the shell must not wait for Dask and Zarr",
    f"{ROOT}.sources.image_file": "a photograph must not wait for what TIFF, or addresses, need",
    f"{ROOT}.sources.color_profiles": "littlecms is for profiles of tables, which few images have",
    f"{ROOT}.sources.pillow_colors": "what finds images has no use for Numba",
    f"{ROOT}.sources.listing": "local folders must not wait for what lists others",
    f"{ROOT}.sources.held_bytes": "local shards must not wait for what fetches others",
    f"{ROOT}.sources.zarr_nodes": "local stores must not wait for what fetches others",
    f"{ROOT}.sources.tiff": "local files must not wait for what fetches others",
    f"{ROOT}.sources.tiff_samples": "what finds images has no use for Numba",
    f"{ROOT}.board_client": "threads must not wait for distributed",
    f"{ROOT}.report_pictures": "a photograph must not wait for Zarr, whether it has a page or not",
    f"{ROOT}.sources.reading": "a folder of photographs must not wait for Dask arrays and Zarr",
}
"""Modules that import modules of ours inside functions, and why."""

IMPORTS_BY_NAME = {
    f"{ROOT}": "names are loaded when they are first used",
    f"{ROOT}.worker_check": "asks a worker, which may lack the package, for its version",
    f"{ROOT}.rich_display": "values stand above what draws them, and few are looked at",
}
"""Modules that import what a string names, and why."""

COMPUTES = {
    f"{ROOT}.graphs.scalable": "k-means iterates: dask_ml.cluster.KMeans computes every step",
}
"""Modules of the lazy layers that compute, and why."""

READS_FILES = {
    f"{ROOT}.process": "Linux tells the peak memory of a process in a file of /proc",
}
"""Modules of the pure layers that touch files, and why."""

OPENING_CALLS = frozenset(
    (
        *("open", "fdopen", "read_bytes", "read_text", "write_bytes", "write_text"),
        *("mkdir", "unlink", "rename"),
        *("load", "save", "savez", "fromfile", "tofile", "memmap"),
    )
)
"""Names of functions and methods that touch files."""

COMPUTING_CALLS = frozenset({"compute", "persist"})
"""Names of functions and methods that start a computation."""


@dataclass(frozen=True)
class Module:
    """A module, parsed."""

    name: str
    """Dotted name; a package's is its own, without ``__init__``."""
    tree: ast.Module
    """Its source."""

    @property
    def layer(self):
        """Name of the module or subpackage right below the root."""
        return layer_of(self.name)


@dataclass(frozen=True)
class Import:
    """One imported module."""

    target: str
    """Dotted name of the module."""
    place: str
    """``module``, ``function`` or ``typing``."""
    line: int
    """Where it is written."""


def layer_of(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def parse_modules(sources):
    return [Module(name, ast.parse(text)) for name, text in sources.items()]


def read_package():
    folder = Path(dask_quant.__file__).parent
    sources = {}
    for file in sorted(folder.rglob("*.py")):
        parts = (ROOT, *file.relative_to(folder).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = file.read_text(encoding="utf-8")
    return parse_modules(sources)


def find_imports(module, names):
    """Return the imports of ``module``, where ``names`` are those of all modules."""
    return list(_walk_imports(module.tree, "module", names))


def _walk_imports(node, place, names):
    for child in ast.iter_child_nodes(node):
        inner = _place_of(child, place)
        for target in _imported_modules(child, names):
            yield Import(target, inner, child.lineno)
        yield from _walk_imports(child, inner, names)


def _place_of(node, place):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return "function"
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return "typing"
    return place


def _imported_modules(node, names):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    home = "." * node.level + (node.module or "")
    if home == ROOT and [alias.name for alias in node.names] == ["__version__"]:
        return []  # a constant, which the root sets before anything else is imported
    inner = {alias.name: f"{home}.{alias.name}" for alias in node.names}
    return sorted({full if full in names else home for full in inner.values()})


def find_calls(module, called):
    """Return calls of functions and methods with one of the names ``called``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            if name in called:
                yield name, node


def each_import(modules):
    names = {module.name for module in modules}
    for module in modules:
        for found in find_imports(module, names):
            yield module, found


def is_ours(target):
    return target.split(".")[0] == ROOT


def check_layers(modules):
    """Nothing imports upward, not even for its types; every module has its layer."""
    findings = [f"{m.name}: no layer" for m in modules if m.layer not in LAYERS]
    for module, found in each_import(modules):
        if found.target.startswith("."):
            findings.append(f"{module.name}:{found.line} imports {found.target}, relatively")
        elif is_ours(found.target) and _is_above(module.layer, layer_of(found.target)):
            findings.append(f"{module.name}:{found.line} imports {found.target}, upward")
    return findings


def _is_above(importer, imported):
    if importer not in LAYERS or imported not in LAYERS:
        return importer != imported
    return LAYERS.index(imported) > LAYERS.index(importer)


def check_cycles(modules):
    """No modules import each other, within a subpackage or across."""
    graph = {module.name: set() for module in modules}
    for module, found in each_import(modules):
        if found.target in graph:
            graph[module.name].add(found.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return ["cycle: " + " <- ".join(error.args[1])]
    return []


def check_function_imports(modules, excepted=tuple(IMPORTS_WITHIN)):
    """Only slow or optional third-party packages are imported inside functions."""
    return [
        f"{module.name}:{found.line} imports {found.target} in a function"
        for module, found in each_import(modules)
        if found.place == "function"
        and found.target.split(".")[0] not in SLOW_PACKAGES
        and not (is_ours(found.target) and module.name in excepted)
    ]


def check_imports_by_name(modules, excepted=tuple(IMPORTS_BY_NAME)):
    """No import hides from these rules in a string."""
    return [
        f"{module.name}:{node.lineno} calls {name}"
        for module in modules
        if module.name not in excepted
        for name, node in find_calls(module, {"import_module", "__import__"})
    ]


def check_third_party(modules):
    """A package is known to its layers alone: image formats to sources and sinks, and so on."""
    return [
        f"{module.name}:{found.line} imports {found.target}"
        for module, found in each_import(modules)
        if not is_ours(found.target)
        and (package := found.target.split(".")[0]) not in sys.stdlib_module_names
        and module.layer not in THIRD_PARTY.get(package, ())
    ]


def check_pure_layers(modules, excepted=tuple(READS_FILES)):
    """Up to chunking, nothing touches a file."""
    return [
        f"{module.name}:{node.lineno} calls {name}"
        for module in modules
        if module.layer in PURE_LAYERS and module.name not in excepted
        for name, node in find_calls(module, OPENING_CALLS)
    ]


def check_lazy_layers(modules, excepted=tuple(COMPUTES)):
    """Sources and graphs never compute."""
    return [
        f"{module.name}:{node.lineno} calls {name}"
        for module in modules
        if module.layer in LAZY_LAYERS and module.name not in excepted
        for name, node in find_calls(module, COMPUTING_CALLS)
    ]


def check_one_place_computes(modules, excepted=tuple(COMPUTES)):
    """Only `execute`, and what it does on clusters, has Dask compute; others tell it the stage."""
    return [
        f"{module.name}:{node.lineno} calls {name} past execute"
        for module in modules
        if module.layer not in ("execute", "cluster_tasks") and module.name not in excepted
        for name, node in find_calls(module, COMPUTING_CALLS)
        if "stage" not in {keyword.arg for keyword in node.keywords}
    ]


def check_faces(modules):
    """Faces parse, call what the package exports, and print."""
    return [
        f"{module.name}:{found.line} imports {found.target}"
        for module, found in each_import(modules)
        if module.layer == "faces"
        and found.place != "typing"
        and is_ours(found.target)
        and layer_of(found.target) not in FACES_KNOW
    ]


RULES = (
    check_layers,
    check_cycles,
    check_function_imports,
    check_imports_by_name,
    check_third_party,
    check_pure_layers,
    check_lazy_layers,
    check_one_place_computes,
    check_faces,
)


@pytest.fixture(scope="module")
def package():
    return read_package()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(package, rule):
    assert rule(package) == []


def test_every_layer_exists(package):
    assert {module.layer for module in package} == set(LAYERS)


@pytest.mark.parametrize(
    ("rule", "exceptions"),
    [
        (check_function_imports, IMPORTS_WITHIN),
        (check_imports_by_name, IMPORTS_BY_NAME),
        (check_pure_layers, READS_FILES),
        (check_lazy_layers, COMPUTES),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_exception_is_needed(package, rule, exceptions):
    found = {finding.partition(":")[0] for finding in rule(package, excepted=())}
    assert found == set(exceptions)


TYPED = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "

VIOLATIONS = [
    (check_layers, "kernels.seed", "from dask_quant.palette import Palette"),
    (check_layers, "kernels.seed", "import dask_quant.palette"),
    (check_layers, "options", TYPED + "from dask_quant.palette import Palette"),
    (check_layers, "options", "def late():\n    from dask_quant import palette"),
    (check_layers, "execute", "from dask_quant import Palette"),
    (check_layers, "pipeline", "import dask_quant.faces.cli"),
    (check_layers, "fit.kmeans", "from .boxes import ColorBoxes"),
    (check_layers, "helpers", "X = 1"),
    (check_function_imports, "pipeline", "def late():\n    from dask_quant import palette"),
    (check_function_imports, "pipeline", "class A:\n    def late(self):\n        import zarr"),
    (check_function_imports, "pipeline", "async def late():\n    import json"),
    (check_function_imports, "routes.choose", "def late():\n    import zarr"),
    (check_imports_by_name, "pipeline", "import importlib\nimportlib.import_module('zarr')"),
    (check_imports_by_name, "pipeline", "__import__('zarr')"),
    (check_third_party, "palette", "import dask.array as da"),
    (check_third_party, "chunking", "from dask import delayed"),
    (check_third_party, "fit.boxes", TYPED + "from zarr import Array"),
    (check_third_party, "flow", "def late():\n    from PIL import Image"),
    (check_third_party, "job", "import distributed"),
    (check_third_party, "sinks.png", "import pandas"),
    (check_pure_layers, "palette_formats.gpl", "with open('a.gpl') as file:\n    pass"),
    (check_pure_layers, "palette", "def load(path):\n    return path.read_bytes()"),
    (check_pure_layers, "histogram", "import numpy as np\nnp.save('a.npy', [1])"),
    (check_lazy_layers, "sources.opening", "def load(image):\n    return image.compute()"),
    (check_lazy_layers, "graphs.counting", "import dask\ndask.compute(1)"),
    (check_lazy_layers, "graphs.relabel", "def keep(image):\n    return image.persist()"),
    (check_lazy_layers, "graphs.relabel", "def run(ex):\n    return ex.compute(1, stage='a')"),
    (check_one_place_computes, "array_flow", "def load(image):\n    return image.compute()"),
    (check_one_place_computes, "job", "import dask\ndask.persist(1)"),
    (check_one_place_computes, "arrays", "from dask import compute\ncompute(1)"),
    (check_faces, "faces.cli", "from dask_quant.pipeline import quantize"),
    (check_faces, "faces.cli", "def late():\n    import dask_quant.sinks.png"),
]


@pytest.mark.parametrize(("rule", "name", "text"), VIOLATIONS)
def test_a_violation_is_found(rule, name, text):
    others = {f"{ROOT}.palette": "", f"{ROOT}.sinks.atomic": ""}
    assert rule(parse_modules(others)) == []
    (finding,) = rule(parse_modules(others | {f"{ROOT}.{name}": text}))
    assert finding.startswith(f"{ROOT}.{name}:")


def test_a_cycle_is_found():
    sources = {
        f"{ROOT}.fit.one": "from dask_quant.fit.two import b",
        f"{ROOT}.fit.two": "from dask_quant.fit import three",
        f"{ROOT}.fit.three": TYPED + "import dask_quant.fit.one",
    }
    (finding,) = check_cycles(parse_modules(sources))
    assert all(name in finding for name in sources)
    del sources[f"{ROOT}.fit.three"]
    assert check_cycles(parse_modules(sources)) == []


def test_what_is_allowed_is_not_found():
    sources = {
        ROOT: "import importlib\nimportlib.import_module('dask_quant.errors')",
        f"{ROOT}.palette": "import numpy\ndef plot():\n    import matplotlib.colors",
        f"{ROOT}.cluster": "from dask_quant import __version__\ndef f():\n    import distributed",
        f"{ROOT}.sinks.png": "from dask_quant.palette import Palette\nopen('a.png')",
        f"{ROOT}.array_flow": "def run(executor):\n    executor.compute(1, stage='count')",
        f"{ROOT}.routes.choose": "def late():\n    from dask_quant.array_flow import run",
        f"{ROOT}.faces.cli": "import click\nimport dask_quant as dq\n"
        + TYPED
        + "from dask_quant.palette import Palette",
    }
    modules = parse_modules(sources)
    assert [finding for rule in RULES for finding in rule(modules)] == []
