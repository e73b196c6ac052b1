"""Fetching: only the bytes that the spec names ever lie under their name, and a failure says what to do."""

import hashlib
import io
import urllib.request
from urllib.error import URLError

import pytest

from support.synthetic_dicom import refusal
from xmed.cohort.fetch import _HttpsOnly, fetch_files

URL = "https://example.org/data/brains.bin"


@pytest.fixture
def asked(clinic):
    """A spec whose one file has these bytes, by default under this URL."""

    def make(data, url=URL, **more):
        return clinic.spec(files=[{"url": url, "sha256": hashlib.sha256(data).hexdigest(), **more}])

    return make


@pytest.fixture
def root(tmp_path):
    return tmp_path / "fetched"


@pytest.fixture
def server():
    """What answers in place of a server, and the URLs that it was asked for."""

    class Server:
        def __init__(self):
            self.data, self.urls = b"", []

        def __call__(self, url):
            self.urls.append(url)
            return io.BytesIO(self.data)

    return Server()


def test_a_file_is_fetched_once_and_again_only_when_the_spec_names_other_bytes(asked, server, root):
    server.data = b"first"
    for _ in range(2):
        fetch_files(asked(b"first"), root, server)
    assert (root / "brains.bin").read_bytes() == b"first"
    assert server.urls == [URL]
    server.data = b"second"
    fetch_files(asked(b"second"), root, server)
    assert (root / "brains.bin").read_bytes() == b"second"
    assert len(server.urls) == 2


def test_other_bytes_than_the_spec_names_never_come_to_lie_under_its_name(asked, server, root):
    server.data = b"tampered"
    with refusal("FETCH_MISMATCH", hashlib.sha256(b"tampered").hexdigest(), "ask the publisher"):
        fetch_files(asked(b"genuine"), root, server)
    assert list(root.iterdir()) == []


def test_a_file_brought_by_hand_is_checked_and_not_fetched(asked, server, root):
    root.mkdir()
    (root / "brains.bin").write_bytes(b"genuine")
    fetch_files(asked(b"genuine"), root, server)
    assert server.urls == []


def test_without_a_connection_the_refusal_says_where_to_put_the_file(asked, root):
    nobody = "https://127.0.0.1:9/brains.bin"  # the discard port of this very machine: nobody listens
    with refusal("FETCH_FAILED", nobody, f"put it at {root / 'brains.bin'}"):
        fetch_files(asked(b"genuine", nobody), root)
    assert list(root.iterdir()) == []


def test_a_connection_that_breaks_leaves_nothing_behind(asked, root):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError("reset by peer")

        read1 = read

    with refusal("FETCH_FAILED", "reset by peer"):
        fetch_files(asked(b"genuine"), root, lambda url: Broken())
    assert list(root.iterdir()) == []


def test_a_file_larger_than_the_limit_is_let_go_of(asked, server, root, monkeypatch):
    monkeypatch.setattr("xmed.cohort.fetch.MAX_BYTES", 4)
    server.data = b"genuine"
    with refusal("FETCH_MISMATCH", "goes on after"):
        fetch_files(asked(b"genuine"), root, server)
    assert list(root.iterdir()) == []


def test_a_redirect_may_not_leave_https():
    request = urllib.request.Request(URL)
    with pytest.raises(URLError, match="redirected to http, which is not https"):
        _HttpsOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, "http://example.org/brains.bin")
    followed = _HttpsOnly().redirect_request(request, io.BytesIO(), 302, "Found", {}, "https://cdn.example.org/b")
    assert followed.full_url == "https://cdn.example.org/b"


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "file:///etc/passwd", "https://example.org/..", "https://example.org/a/%2e%2e%2f.x"]
)
def test_a_spec_with_another_scheme_or_a_name_that_climbs_is_refused(asked, url):
    with pytest.raises(ValueError, match=r"url|name"):
        asked(b"genuine", url)
