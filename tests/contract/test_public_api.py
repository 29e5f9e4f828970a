"""What the package exports: the names, where they live, and what their docstrings promise."""

from __future__ import annotations

import ast
import dataclasses
import importlib.metadata
import importlib.resources
import inspect
import re
import subprocess
import sys
import textwrap

import pytest

import dask_quant as dq
from dask_quant import errors

PUBLIC = {name: getattr(dq, name) for name in dq.__all__}

FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}

DATACLASSES = {name: value for name, value in PUBLIC.items() if dataclasses.is_dataclass(value)}

HEAVY = ("numpy", "dask", "distributed", "numba", "zarr", "PIL", "rich", "sklearn", "dask_ml")
"""Packages that importing the name of the package must not pay for."""


def test_all_is_sorted_and_has_no_name_twice():
    assert dq.__all__ == sorted(set(dq.__all__))


def test_every_name_is_of_the_kind_that_it_looks_like():
    classes = {name for name, value in PUBLIC.items() if inspect.isclass(value)}
    assert {name for name in dq.__all__ if name[0].isupper()} == classes
    assert set(FUNCTIONS) == set(dq.__all__) - classes


def test_names_that_are_not_exported_are_missing():
    with pytest.raises(AttributeError, match="has no attribute 'kmeans_of_everything'"):
        dq.kmeans_of_everything  # noqa: B018  # the look-up is the test


def test_dir_shows_what_is_exported():
    assert set(dir(dq)) == {*dq.__all__, "__version__"}


def read_typed_names():
    """Return the names that type checkers see, by home, as the source writes them."""
    tree = ast.parse(inspect.getsource(dq))
    (block,) = [
        node for node in tree.body if isinstance(node, ast.If) and "TYPE" in ast.unparse(node.test)
    ]
    assert all(isinstance(node, ast.ImportFrom) for node in block.body)
    return {node.module: tuple(alias.name for alias in node.names) for node in block.body}


def test_type_checkers_see_the_names_that_are_loaded():
    homes = {home: set(names) for home, names in read_typed_names().items()}
    loaded = {home: set(names) for home, names in dq._HOMES.items()}
    rest = set(dq.__all__) - set().union(*loaded.values())
    assert homes == loaded | {errors.__name__: rest}
    assert sum(map(len, dq._HOMES.values())) + len(rest) == len(dq.__all__)


def test_names_live_where_they_are_said_to():
    homes = {name: value.__module__ for name, value in PUBLIC.items()}
    said = {name: home for home, names in read_typed_names().items() for name in names}
    assert homes == said


@pytest.mark.parametrize("module", ["dask_quant", "dask_quant.errors", "dask_quant.faces.cli"])
def test_importing_is_light(module):
    script = f"import sys, {module}; print(*{HEAVY} & sys.modules.keys())"
    script = script.replace(str(HEAVY), f"set({HEAVY})")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def test_the_package_is_marked_as_typed():
    assert importlib.resources.files("dask_quant").joinpath("py.typed").is_file()


def test_the_version_is_the_one_installed():
    assert importlib.metadata.version("dask-quant") == dq.__version__


def read_sections(docstring):
    """Return the sections of a numpydoc docstring by title; what comes first has the title ''."""
    parts = re.split(r"^(\S.*)\n-{3,}$", inspect.cleandoc(docstring), flags=re.MULTILINE)
    titles, bodies = ["", *parts[1::2]], [parts[0], *parts[2::2]]
    return {title: body.strip("\n") for title, body in zip(titles, bodies, strict=True)}


def read_entries(section):
    """Return the names that a section describes: what stands before the colon, outdented."""
    lines = [line for line in section.splitlines() if line and not line[0].isspace()]
    return [name for line in lines for name in line.partition(" : ")[0].split(", ")]


def test_a_docstring_is_understood():
    sections = read_sections(
        """Do it. **Eager**.

        Parameters
        ----------
        a, b : int
            Numbers: the two.
        c
            A third.

        Raises
        ------
        FitError, OSError
            When it cannot.
        """
    )
    assert sections[""] == "Do it. **Eager**.\n"[:-1]
    assert read_entries(sections["Parameters"]) == ["a", "b", "c"]
    assert read_entries(sections["Raises"]) == ["FitError", "OSError"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_whether_they_are_lazy_or_eager(name):
    summary = read_sections(FUNCTIONS[name].__doc__)[""]
    assert re.search(r"\*\*(Lazy|Eager)\b", summary)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_describe_their_parameters(name):
    function = FUNCTIONS[name]
    described = read_entries(read_sections(function.__doc__).get("Parameters", ""))
    assert sorted(described) == sorted(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_describe_what_they_return_and_raise(name):
    sections = read_sections(FUNCTIONS[name].__doc__)
    assert read_entries(sections["Returns"])
    for error in read_entries(sections["Raises"]):
        assert error in dq.__all__, f"{error} is raised, but users cannot catch it by name"
        assert issubclass(PUBLIC[error], dq.DaskQuantError)


@pytest.mark.parametrize("name", PUBLIC)
def test_summaries_are_one_sentence_on_one_line(name):
    first, *rest = inspect.cleandoc(PUBLIC[name].__doc__).splitlines()
    assert first[0].isupper()
    assert first.rstrip("*.") != first
    assert not rest or rest[0] == ""


def find_bare_fields(source):
    """Return the fields of the class in ``source`` that no docstring follows."""
    (body,) = [node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    return [
        node.target.id
        for node, after in zip(body, [*body[1:], None], strict=True)
        if isinstance(node, ast.AnnAssign)
        and not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant))
    ]


def test_a_bare_field_is_found():
    assert find_bare_fields("class A:\n    a: int\n    'Apples.'\n    b: int\n    c: int = 1") == [
        "b",
        "c",
    ]


@pytest.mark.parametrize("name", DATACLASSES)
def test_values_describe_every_field(name):
    assert find_bare_fields(textwrap.dedent(inspect.getsource(DATACLASSES[name]))) == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_methods_have_docstrings(name):
    members = vars(PUBLIC[name]).items() if inspect.isclass(PUBLIC[name]) else ()
    bare = [
        member
        for member, value in members
        if not member.startswith("_")
        and isinstance(value, property | classmethod | staticmethod | type(read_entries))
        and not inspect.getdoc(getattr(PUBLIC[name], member))
    ]
    assert bare == []
