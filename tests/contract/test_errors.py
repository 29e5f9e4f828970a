"""The errors: drawn as they are, the built-ins that they say, and able to travel."""

from __future__ import annotations

import ast
import builtins
import pickle
import re
from pathlib import Path

import pytest

import dask_quant
from dask_quant import errors

CLASSES = {name: value for name, value in vars(errors).items() if isinstance(value, type)}

BRANCH = re.compile(
    r"(?P<stem>(?:│   |    )*(?:[├└]── )?)(?P<name>\w+)(?: \((?P<builtin>\w+)\))?(?:  +\S.*)?"
)


def parse_tree(text):
    """Return what a drawn tree says: the parent and the built-in of each name, None if none."""
    found, path = {}, []
    for line in text.splitlines():
        match = BRANCH.fullmatch(line)
        if match is None:
            continue
        depth = len(match["stem"]) // 4
        path[depth:] = [match["name"]]
        found[match["name"]] = (path[depth - 1] if depth else None, match["builtin"])
    return found


def read_drawing():
    """Return the drawing in the docstring of the errors, outdented."""
    _, _, rest = errors.__doc__.partition("::\n\n")
    drawing = [line[4:] for line in rest.splitlines() if not line or line.startswith("    ")]
    return "\n".join(drawing)


def describe_class(error):
    """Return the parent of a class in the house, and its built-in, by name."""
    ours = [base.__name__ for base in error.__bases__ if base.__module__ == errors.__name__]
    others = [base.__name__ for base in error.__bases__ if base.__module__ == "builtins"]
    assert len(ours) <= 1
    assert len(others) <= 1
    return (ours[0] if ours else None, others[0] if others else None)


def test_the_drawn_tree_is_the_class_hierarchy():
    assert parse_tree(read_drawing()) == {
        name: describe_class(error) for name, error in CLASSES.items()
    }


def test_a_drawing_is_understood():
    text = "A (B)\n├── C (D)     words (E)\n│   └── F (G)\n└── H            more words\n\nI (J)"
    assert parse_tree(text) == {
        "A": (None, "B"),
        "C": ("A", "D"),
        "F": ("C", "G"),
        "H": ("A", None),
        "I": (None, "J"),
    }


@pytest.mark.parametrize("name", CLASSES)
def test_errors_survive_pickling_with_one_message(name):
    message = "Got 3 apples; use at most 2."
    again = pickle.loads(pickle.dumps(CLASSES[name](message)))
    assert type(again) is CLASSES[name]
    assert again.args == (message,)
    assert str(again) == message


@pytest.mark.parametrize("name", CLASSES)
def test_errors_are_made_by_new_as_well(name):
    # So does tblib, which distributed has unpickle what workers raise.
    assert type(CLASSES[name].__new__(CLASSES[name], "Got 3.")) is CLASSES[name]


@pytest.mark.parametrize("name", CLASSES)
def test_errors_are_caught_as_the_built_in_of_the_tree(name):
    _, builtin = parse_tree(read_drawing())[name]
    root = Warning if issubclass(CLASSES[name], Warning) else Exception
    assert issubclass(CLASSES[name], getattr(builtins, builtin) if builtin else root)


@pytest.mark.parametrize("name", CLASSES)
def test_errors_are_exported(name):
    assert getattr(dask_quant, name) is CLASSES[name]


def find_odd_raises(source):
    """Return the lines that make an error of ours of anything but one positional message."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", None) in CLASSES
        and not (len(node.args) == 1 and not node.keywords)
    ]


def test_an_odd_raise_is_found():
    source = "raise FitError(message)\nraise FitError(1, 2)\nFitError(message=1)\nFitError()"
    assert find_odd_raises(source) == [2, 3, 4]


def test_every_error_gets_one_message():
    folder = Path(dask_quant.__file__).parent
    odd = {
        str(file.relative_to(folder)): lines
        for file in folder.rglob("*.py")
        if (lines := find_odd_raises(file.read_text(encoding="utf-8")))
    }
    assert odd == {}
