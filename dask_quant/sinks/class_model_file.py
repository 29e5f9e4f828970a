"""Files of classes: JSON, which says what labels rasters, and nothing that could run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.class_model import ClassModel
from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.options import as_path
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sources.header import show_cause, show_path

if TYPE_CHECKING:
    from pathlib import Path


def write_class_model(model: ClassModel, path: str | Path, *, overwrite: bool = False) -> int:
    """Write classes to a ``.json`` file. **Eager**.

    Parameters
    ----------
    model : ClassModel
        The classes.
    path : str or Path
        The file, which appears under its name only when it is whole.
    overwrite : bool, default False
        Whether a file that exists is replaced.

    Returns
    -------
    int
        Bytes written.

    Raises
    ------
    OutputExistsError
        When the file exists and ``overwrite`` is false.
    OutputError
        When it cannot be written.
    """
    data = model.to_json().encode()
    return write_file_atomically(as_path(path, "path"), [data], overwrite=overwrite)


def read_class_model(path: str | Path) -> ClassModel:
    """Read the classes that `segment` or `write_class_model` wrote. **Eager**.

    Parameters
    ----------
    path : str or Path
        The ``.json`` file.

    Returns
    -------
    ClassModel
        The classes, the same bit for bit.

    Raises
    ------
    SourceError
        When the file cannot be read.
    PixelFormatError
        When it holds no such classes.
    """
    file = as_path(path, "model")
    cannot = f"Cannot read classes from {show_path(str(file))}"
    try:
        return ClassModel.from_json(file.read_text(encoding="utf-8"))
    except PixelFormatError as error:
        message = f"{cannot}: {error}"
        raise PixelFormatError(message) from None
    except FileNotFoundError:
        message = f"{cannot}: there is no such file."
        raise SourceNotFoundError(message) from None
    except OSError as error:
        message = f"{cannot}: {error.strerror or show_cause(error)}."
        raise SourceError(message) from error
    except ValueError as error:  # no UTF-8, or a path with NUL
        message = f"{cannot}: {show_cause(error)}."
        raise SourceError(message) from error
