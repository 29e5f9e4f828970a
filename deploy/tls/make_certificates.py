"""Make a certificate authority, and certificates that it signed, for one cluster.

Run ``python deploy/tls/make_certificates.py FOLDER``. It calls ``openssl`` and writes, each with a
key in a file of its own that only its owner can read:

- ``ca.pem``: the authority. Who has its key can let anyone in, so keep ``ca-key.pem`` elsewhere.
- ``node.pem``: for scheduler and workers, which call each other and answer.
- ``client.pem``: for jobs. It can only call: with its key nobody can pose as a scheduler.

Dask trusts whom the authority signed for and does not look at host names, so use an authority for
one cluster and nothing else.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
"""A new key on an elliptic curve, not encrypted: daemons start without anyone to ask."""

AUTHORITY = ("basicConstraints=critical,CA:TRUE,pathlen:0", "keyUsage=critical,keyCertSign,cRLSign")

USES = {"node": "serverAuth,clientAuth", "client": "clientAuth"}
"""Certificates, and what each proves: that who calls, who answers, or both may do so."""


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="where to write them; made when it is missing")
    parser.add_argument("--days", type=int, default=365, help="how long they hold (default: 365)")
    arguments = parser.parse_args()
    if arguments.days < 1:
        parser.error(f"got {arguments.days} days; use at least 1")
    return arguments


def find_existing(folder: Path) -> list[Path]:
    """Return what is there already of what would be written."""
    names = ("ca", *USES)
    files = [folder / f"{name}{kind}.pem" for name in names for kind in ("", "-key")]
    return [file for file in files if file.exists()]


def make_authority(folder: Path, days: int) -> None:
    """Write ``ca.pem`` and ``ca-key.pem``."""
    extensions = [part for each in AUTHORITY for part in ("-addext", each)]
    run_openssl(
        *("req", "-x509", *KEY, "-days", str(days), "-subj", "/CN=dask-quant cluster authority"),
        *(*extensions, "-keyout", str(folder / "ca-key.pem"), "-out", str(folder / "ca.pem")),
    )


def make_certificate(folder: Path, name: str, days: int) -> None:
    """Write a certificate, signed by the authority in ``folder``, and its key."""
    with tempfile.TemporaryDirectory() as scratch:
        request, extensions = Path(scratch, "request.pem"), Path(scratch, "extensions.cnf")
        extensions.write_text(
            "basicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature\n"
            f"extendedKeyUsage={USES[name]}\n",
            encoding="utf-8",
        )
        run_openssl(
            *("req", "-new", *KEY, "-subj", f"/CN=dask-quant {name}"),
            *("-keyout", str(folder / f"{name}-key.pem"), "-out", str(request)),
        )
        run_openssl(
            *("x509", "-req", "-in", str(request), "-days", str(days)),
            *("-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca-key.pem")),
            *("-set_serial", f"0x{os.urandom(16).hex()}", "-extfile", str(extensions)),
            *("-out", str(folder / f"{name}.pem")),
        )


def run_openssl(*arguments: str) -> None:
    """Run ``openssl``; raise `SystemExit` with what it says when it fails."""
    try:
        done = subprocess.run(("openssl", *arguments), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        message = "Error: openssl was not found; install it, as by: apt-get install openssl"
        raise SystemExit(message) from None
    if done.returncode:
        message = f"Error: openssl {arguments[0]} failed: {done.stderr.strip()}"
        raise SystemExit(message)


def main() -> None:
    """Make all that is needed, or nothing where some of it is there already."""
    arguments = parse_arguments()
    os.umask(0o077)  # keys are for their owner alone
    existing = find_existing(arguments.folder)
    if existing:
        message = f"Error: {existing[0]} exists; give a folder without certificates."
        raise SystemExit(message)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    make_authority(arguments.folder, arguments.days)
    for name in USES:
        make_certificate(arguments.folder, name, arguments.days)
    print(f"wrote certificates for {arguments.days} days to {arguments.folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
