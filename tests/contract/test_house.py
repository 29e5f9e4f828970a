"""The house's habits: small modules and functions, a README that is whole, no silent skip."""

from __future__ import annotations

import ast
import re
import statistics
from pathlib import Path

import click
import pytest

import dask_quant
from dask_quant.faces.cli import cli

PACKAGE = Path(dask_quant.__file__).parent

REPOSITORY = Path(__file__).parents[2]

MAX_MODULE_LINES = 450
"""Lines of a module, docstrings and all: the aim is 400, this is where it ends."""

MAX_MEDIAN_LINES = 9
"""Median over all functions of the lines of the body, without its docstring."""

MAX_FUNCTION_LINES = 75
"""Lines of the longest body, the loop over all cells of a Lloyd step: to call a kernel that takes
arrays costs as much as the work in a cell, so that splitting it made it three times slower."""

MODULES = sorted(PACKAGE.rglob("*.py"))

TESTS = sorted(Path(__file__).parents[1].rglob("*.py"))


def name_of(path):
    return str(path.relative_to(REPOSITORY))


def measure_functions(source):
    """Return the lines of the body of every function in ``source``, without docstrings."""
    sizes = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            sizes[node.name] = body[-1].end_lineno - body[0].lineno + 1 if body else 0
    return sizes


def test_functions_are_measured_without_their_docstrings():
    source = (
        "def a():\n    '''Words.'''\n\ndef b():\n    '''Words\n    '''\n    c = [\n    ]\n    d()"
    )
    assert measure_functions(source) == {"a": 0, "b": 3}


def test_modules_are_short():
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in lengths.items() if n > MAX_MODULE_LINES} == {}


def test_functions_are_short():
    sizes = {
        (name_of(path), function): n_lines
        for path in MODULES
        for function, n_lines in measure_functions(path.read_text("utf-8")).items()
    }
    assert statistics.median(sizes.values()) <= MAX_MEDIAN_LINES
    assert {name: n for name, n in sizes.items() if n > MAX_FUNCTION_LINES} == {}


@pytest.fixture(scope="module")
def readme():
    return (REPOSITORY / "README.md").read_text("utf-8")


def find_unmentioned_options(command, text):
    """Return the options of a command that ``text`` mentions under none of their names."""
    return [
        max(option.opts, key=len)
        for option in command.params
        if isinstance(option, click.Option)
        and not any(re.search(rf"(?<![\w-]){name}(?![\w-])", text) for name in option.opts)
    ]


def test_an_unmentioned_option_is_found():
    options = [
        click.Option(["-k", "--colors"]),
        click.Option(["--chunks"]),
        click.Option(["--tol"]),
    ]
    command = click.Command("shrink", params=options)
    assert find_unmentioned_options(command, "shrink -k 3 --chunks-of 2 --tol 1") == ["--chunks"]


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_readme_mentions_the_command(readme, name):
    assert re.search(rf"dask-quant {name}\b", readme)


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_the_readme_mentions_the_options_of_the_command(readme, name):
    assert cli.commands[name].params
    assert find_unmentioned_options(cli.commands[name], readme) == []


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_help_explains_every_option(name):
    options = [option for option in cli.commands[name].params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []


def find_silent_skips(source):
    """Return the lines that skip a test, or expect it to fail, without saying why.

    ``importorskip`` says what is missing by itself.
    """
    nodes = list(ast.walk(ast.parse(source)))
    reasoned = {id(node.func) for node in nodes if isinstance(node, ast.Call) and _says_why(node)}
    return sorted(
        node.lineno
        for node in nodes
        if isinstance(node, ast.Attribute)
        and node.attr in ("skip", "skipif", "xfail")
        and id(node) not in reasoned
    )


def _says_why(call):
    """Return whether a call of skip, skipif or xfail gives a reason, which may be computed."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
    if not given and getattr(call.func, "attr", "") in ("skip", "xfail"):
        given = call.args[:1]
    return any(not (isinstance(value, ast.Constant) and not value.value) for value in given)


SILENT = """
import pytest
@pytest.mark.skip
def test_a(): pytest.skip()
@pytest.mark.skipif(True)
def test_b(): pass
@pytest.mark.xfail(reason="")
def test_c(): pytest.xfail("")
"""

REASONED = """
import pytest
@pytest.mark.skip(reason="too hot")
def test_a(): pytest.skip("too cold")
@pytest.mark.skipif(True, reason="too wet")
def test_b(): pytest.importorskip("numpy")
"""


def test_a_silent_skip_is_found():
    assert find_silent_skips(SILENT) == [3, 4, 5, 7, 8]
    assert find_silent_skips(REASONED) == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_skipped_tests_say_why(path):
    assert find_silent_skips(path.read_text("utf-8")) == []
