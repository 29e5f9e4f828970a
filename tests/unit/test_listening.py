"""Where a scheduler may listen."""

from pathlib import Path

import pytest

from dask_quant.errors import OptionError
from dask_quant.listening import ListenOptions, is_loopback

FILES = {name: Path(f"{name}.pem") for name in ("tls_ca_file", "tls_cert", "tls_key")}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("LocalHost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.4", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_this_machine_reaches_loopback(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "node-1"])
def test_elsewhere_takes_tls_or_a_word(host):
    with pytest.raises(OptionError, match=f"Got the host {host or '0.0.0.0'}, .* --insecure"):
        ListenOptions(host=host)
    assert ListenOptions(host=host, **FILES).protocol == "tls"
    allowed = ListenOptions(host=host, insecure=True)
    assert (allowed.protocol, allowed.tls) == ("tcp", None)


def test_loopback_takes_nothing_and_may_have_tls():
    assert ListenOptions().protocol == "tcp"
    assert ListenOptions(**FILES).tls.options == (
        "--tls-ca-file=tls_ca_file.pem",
        "--tls-cert=tls_cert.pem",
        "--tls-key=tls_key.pem",
    )


@pytest.mark.parametrize("missing", FILES)
def test_tls_takes_all_three_files(missing):
    given = {name: path for name, path in FILES.items() if name != missing}
    with pytest.raises(OptionError, match="TLS needs all three"):
        ListenOptions(**given)
