"""Schemas of others, found where they are installed: none is kept here, none fetched by a test.

    python tests/deploy/schemas.py

gets the one that is not installed with the extra ``test``, for this Python.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

CRD_VERSION = "2026.3.0"
"""Version of `dask-kubernetes` whose definitions the manifests are for."""

WHEELS = Path(sys.prefix) / "share" / "dask-quant-tests"
"""Where a wheel of `dask-kubernetes` is looked for. It is not installed: its plug-in of the command
``dask`` would load clients of Kubernetes at each start."""

CRD_FOLDER = "dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds"


def read_compose_schema() -> dict[str, Any]:
    """Return the schema of the Compose specification, which `check-jsonschema` carries."""
    spec = importlib.util.find_spec("check_jsonschema")
    if spec is None or spec.origin is None:
        pytest.skip("check-jsonschema is not installed: pip install 'dask-quant[test]'")
    path = Path(spec.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def read_definition(kind: str) -> dict[str, Any]:
    """Return what the operator of Dask installs to judge objects of a kind."""
    wheel = WHEELS / f"dask_kubernetes-{CRD_VERSION}-py3-none-any.whl"
    if not wheel.is_file():
        pytest.skip(f"{wheel} is missing: python tests/deploy/schemas.py")
    with zipfile.ZipFile(wheel) as archive:
        return yaml.safe_load(archive.read(f"{CRD_FOLDER}/{kind.lower()}.yaml"))


@functools.cache
def read_object_schema(kind: str, version: str) -> dict[str, Any]:
    """Return the JSON schema of a kind, for keys that it names and no others."""
    definition = read_definition(kind)["spec"]
    assert definition["names"]["kind"] == kind
    (found,) = (each for each in definition["versions"] if each["name"] == version)
    schema = close(found["schema"]["openAPIV3Schema"])
    # What every object of Kubernetes has, and what the API server judges by itself.
    schema["properties"] |= {
        "apiVersion": {"const": f"{definition['group']}/{version}"},
        "kind": {"const": kind},
        "metadata": {"type": "object", "required": ["name"]},
    }
    return schema | {"required": ["apiVersion", "kind", "metadata", "spec"]}


def close(schema: Any) -> Any:
    """Return a structural schema as one of JSON that refuses keys which it does not name."""
    if isinstance(schema, list):
        return [close(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: close(value) for key, value in schema.items()}
    open_ended = closed.get("x-kubernetes-preserve-unknown-fields", False)
    if isinstance(closed.get("properties"), dict) and not open_ended:
        closed.setdefault("additionalProperties", False)
    if closed.get("format") == "int-or-string":
        closed["type"] = ["integer", "string"]
    return closed


def main() -> int:
    """Download the wheel whose definitions are wanted; return the exit code of pip."""
    wanted = ("--no-deps", "--only-binary=:all:", f"dask-kubernetes=={CRD_VERSION}")
    command = [sys.executable, "-m", "pip", "download", "-qq", f"--dest={WHEELS}", *wanted]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
