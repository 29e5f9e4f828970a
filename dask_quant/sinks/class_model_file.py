"""Files of classes: JSON, which says what labels rasters, and nothing that could run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.class_model import ClassModel
from dask_quant.errors import SourceError, SourceNotFoundError
from dask_quant.options import as_path
from dask_quant.sinks.atomic import write_file_atomically

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
    try:
        text = as_path(path, "model").read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"Cannot read {str(path)!r}: there is no such file."
        raise SourceNotFoundError(message) from None
    except (OSError, UnicodeDecodeError) as error:
        message = f"Cannot read {str(path)!r}: {error}."
        raise SourceError(message) from error
    return ClassModel.from_json(text)
