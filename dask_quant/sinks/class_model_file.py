"""Files of classes: JSON, which says what labels rasters, and nothing that could run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.class_model import ClassModel
from dask_quant.errors import PixelFormatError, SourceError, SourceNotFoundError
from dask_quant.options import as_path, format_bytes
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sources.header import show_cause, show_path

if TYPE_CHECKING:
    from pathlib import Path


MAX_FILE_BYTES = 2**27
"""Longest file of classes that is read: 65,535 classes of 60 bands."""


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
        with file.open("rb") as stored:
            data = stored.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            message = f"Got more than {format_bytes(MAX_FILE_BYTES)}, which no such file takes."
            raise PixelFormatError(message)
        return ClassModel.from_json(data.decode())
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
