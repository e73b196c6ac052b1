"""D2: what a header, a manifest or an archive says of sizes binds while it is read, and nothing swells without end."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import time
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian

from support.untrusted_inputs import answer, tarred, zipped
from xmed.app import published_runs
from xmed.cohort import fetch as fetching
from xmed.cohort.fetch import unpack_archive
from xmed.errors import XmedError
from xmed.io import inspect, read_image, read_nifti, read_picture
from xmed.server.restore import restore
from xmed.spec import FileSpec, load_dataset

ZEROS = bytes(1 << 20)


class Endless(io.RawIOBase):
    """A body that goes on for ever, so many bytes at a time; it counts what was taken."""

    def __init__(self, piece: bytes, seconds: float = 0.0) -> None:
        self.piece, self.seconds, self.given = piece, seconds, 0

    def readable(self):
        return True

    def read(self, size=-1):
        time.sleep(self.seconds)
        self.given += len(self.piece)
        assert self.given < 1 << 31, "read on without end"
        return self.piece

    read1 = read


@pytest.fixture
def published(tmp_path):
    """A published run of one file, which is larger than its manifest says."""

    def publish(data: bytes, size: int, sha: str | None = None):
        folder = tmp_path / "shared" / "run"
        folder.mkdir(parents=True)
        (folder / "a.bin").write_bytes(data)
        files = {"a.bin": {"bytes": size, "sha256": sha or hashlib.sha256(data).hexdigest()}}
        (folder / "MANIFEST.json").write_text(json.dumps({"schema": "xmed-share/1", "run": "run", "files": files}))
        return folder

    return publish


@pytest.mark.parametrize(("held", "said"), [(64 << 20, 1), (10, 9), (10, 0), (10, 11), (10, 10**15)])
def test_a_published_file_of_another_size_is_refused(tmp_path, published, held, said):
    folder = published(bytes(held), said)
    with pytest.raises(XmedError) as caught:
        published_runs.fetch(folder.as_uri(), tmp_path / "home")
    assert caught.value.code in ("FETCH_MISMATCH", "DISK_FULL")
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


def test_not_a_byte_more_than_the_manifest_says_is_written(tmp_path, published, monkeypatch):
    written = []
    from pathlib import Path

    real = Path.open

    def watched(self, *arguments, **named):
        file = real(self, *arguments, **named)
        if "home" in self.parts and self.name == "a.bin":
            written.append(self)
        return file

    monkeypatch.setattr(Path, "open", watched)
    folder = published(bytes(64 << 20), 1)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))  # a file larger than that cannot be written
    try:
        with pytest.raises(XmedError) as caught:
            published_runs.fetch(folder.as_uri(), tmp_path / "home")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "FETCH_MISMATCH"


def test_a_published_run_that_is_what_it_says_is_taken(tmp_path, published):
    folder = published(b"0123456789", 10)
    assert (published_runs.fetch(folder.as_uri(), tmp_path / "home").folder / "a.bin").read_bytes() == b"0123456789"


def test_a_manifest_without_end_is_not_read_to_it(tmp_path, published):
    folder = published(b"1", 1)
    with (folder / "MANIFEST.json").open("wb") as file:
        file.truncate(3 << 30)  # sparse: nothing lies on the disk
    assert answer(published_runs.fetch, folder.as_uri(), tmp_path / "home") == "SHARE_FAILED"


# Downloads


def spec_of(tmp_path, data=b"x", **more):
    text = (
        "name: clinic\nmodality: MR\nroot: /nowhere\nlayout: {image: '{case}.nii'}\nlabels: {1: {name: ball}}\n"
        f"splits: {{train: [a]}}\nfiles: [{{url: 'https://example.org/a.nii', sha256: {hashlib.sha256(data).hexdigest()}}}]\n"
    )
    (tmp_path / "clinic.yaml").write_text(text)
    return load_dataset(tmp_path / "clinic.yaml")


def test_a_body_without_end_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_BYTES", 4 << 20)
    with pytest.raises(XmedError, match="FETCH_MISMATCH"):
        fetching.fetch_files(spec_of(tmp_path), tmp_path / "root", lambda url: Endless(ZEROS))
    assert not list((tmp_path / "root").iterdir())


def test_a_body_that_drips_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 0.2, raising=False)
    monkeypatch.setattr(fetching, "MAX_BYTES", 300)  # the code of before would go on
    body = Endless(b"x", 0.01)
    with pytest.raises(XmedError, match="FETCH_FAILED"):
        fetching.fetch_files(spec_of(tmp_path), tmp_path / "root", lambda url: body)
    assert not list((tmp_path / "root").iterdir())


def test_a_file_that_comes_as_it_should_is_taken(tmp_path):
    fetching.fetch_files(spec_of(tmp_path), tmp_path / "root", lambda url: io.BytesIO(b"x"))
    assert (tmp_path / "root" / "a.nii").read_bytes() == b"x"


def test_a_file_spec_is_what_it_was():
    assert FileSpec(url="https://example.org/a.nii", sha256="a" * 64).name == "a.nii"


# Archives


def test_a_tar_whose_headers_swell_is_refused_early(tmp_path):
    """A record of 1 GiB before the first member: readers keep it in memory."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(entry.tobuf(tarfile.GNU_FORMAT))
        for _ in range(1 << 10):
            file.write(ZEROS)
    tracemalloc.start()
    try:
        with pytest.raises(XmedError) as caught:
            unpack_archive(path, tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code in ("SIZE_CLAIM", "ARCHIVE_INVALID", "INFLATE_LIMIT")
    assert peak < 64 << 20  # a sixteenth of what the record claims


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE])
def test_a_record_of_any_kind_that_swells_is_not_kept(tmp_path, kind):
    """256 MiB of it, in an archive whose own size would allow as much."""
    entry = tarfile.TarInfo("record")
    entry.type, entry.size = kind, 1 << 28
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(entry.tobuf(tarfile.GNU_FORMAT))
        for _ in range(1 << 8):
            file.write(ZEROS)
    tracemalloc.start()
    try:
        with pytest.raises(XmedError) as caught:
            unpack_archive(path, tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code in ("SIZE_CLAIM", "ARCHIVE_INVALID", "INFLATE_LIMIT")
    assert peak < 64 << 20


def test_a_long_name_in_a_record_is_read(tmp_path):
    name = "/".join(["folder"] * 20 + ["a" * 200])
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        path = tmp_path / f"{kind}.tar.gz"
        with tarfile.open(path, "w:gz", format=kind) as file:
            entry = tarfile.TarInfo(name)
            entry.size = 5
            file.addfile(entry, io.BytesIO(b"12345"))
        unpack_archive(path, tmp_path / f"out{kind}")
        assert (tmp_path / f"out{kind}" / name).read_bytes() == b"12345"


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz"])
def test_an_archive_that_bursts_in_any_packing_is_refused(tmp_path, ending):
    path = tarred(tmp_path / f"a.tar.{ending}", [("a", ZEROS * 40)], f"w:{ending}")
    assert answer(unpack_archive, path, tmp_path / "out") in ("SIZE_CLAIM", "ARCHIVE_INVALID")
    assert not (tmp_path / "out" / "a").exists()


def test_many_small_members_that_burst_together_are_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [(f"a{n}", bytes(200_000)) for n in range(400)])
    assert answer(unpack_archive, path, tmp_path / "out") in ("SIZE_CLAIM", "ARCHIVE_INVALID")


def test_a_zip_whose_members_share_one_stream_is_refused(tmp_path):
    """Every name in the directory points to the same compressed bytes (Fifield, WOOT 2019)."""
    path = zipped(tmp_path / "a.zip", [("a", bytes(1 << 20))])
    data = path.read_bytes()
    at = data.index(b"PK\1\2")
    end = data.index(b"PK\5\6")
    entry = data[at:end]
    many = b"".join(entry[:-1] + bytes([65 + n]) for n in range(50))
    tail = b"PK\5\6\0\0\0\0" + struct.pack("<HHIIH", 50, 50, len(many), at, 0)
    path.write_bytes(data[:at] + many + tail)
    assert answer(unpack_archive, path, tmp_path / "out") in ("SIZE_CLAIM", "ARCHIVE_INVALID")


@pytest.mark.parametrize("size", [0, 10, 1 << 30])
def test_a_zip_that_says_another_size_than_it_has_is_refused(tmp_path, size):
    path = zipped(tmp_path / "a.zip", [("a", b"0123456789" * 1000)])
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\1\2")
    data[central + 24 : central + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    assert answer(unpack_archive, path, tmp_path / "out") in ("SIZE_CLAIM", "ARCHIVE_INVALID")


def test_an_archive_in_an_archive_stays_packed(tmp_path):
    inner = zipped(tmp_path / "b.zip", [("a", b"1")]).read_bytes()
    assert answer(unpack_archive, zipped(tmp_path / "a.zip", [("b.zip", inner)]), tmp_path / "out") == "taken"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.zip"]


def sparse(path, claimed: int):
    """A tar of 1.5 kB with a file of which it says that it has that many bytes, nearly all of them holes."""
    entry = tarfile.TarInfo("home/runs/a")
    entry.size = 512
    entry.pax_headers = {
        "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "home/runs/a", "GNU.sparse.size": str(claimed),
        "GNU.sparse.numblocks": "1", "GNU.sparse.map": f"{claimed - 512},512",
    }  # fmt: skip
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        file.addfile(entry, io.BytesIO(bytes(512)))
    return path


@pytest.mark.parametrize("claimed", [64 << 20, 6 << 30, 1 << 50])
def test_a_backup_that_claims_more_than_it_has_is_refused(tmp_path, claimed):
    path = sparse(tmp_path / "b.tar", claimed)
    assert path.stat().st_size < 20_000
    assert answer(restore, path, tmp_path / "home") in ("ARCHIVE_INVALID", "SIZE_CLAIM")
    assert not (tmp_path / "home").exists()
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".home")]


@pytest.mark.parametrize("kind", ["file", "record"])
def test_a_backup_that_swells_is_refused(tmp_path, kind, monkeypatch):
    path = tmp_path / "b.tar.gz"
    with gzip.open(path, "wb", 6) as file:
        entry = tarfile.TarInfo("home/runs/a" if kind == "file" else "././@LongLink")
        entry.size, entry.type = 700 << 20, tarfile.REGTYPE if kind == "file" else tarfile.GNUTYPE_LONGNAME
        file.write(entry.tobuf(tarfile.GNU_FORMAT))
        for _ in range(700):
            file.write(ZEROS)
    assert answer(restore, path, tmp_path / "home") in ("ARCHIVE_INVALID", "SIZE_CLAIM", "INFLATE_LIMIT")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "5", "{}", '{"format": "xmed-backup/1"}',
                                  '{"format": "xmed-backup/1", "files": [], "home": "/a", "registry": null, "made": ""}',
                                  '{"format": "xmed-backup/1", "files": {"home/a": 5}, "home": "/a", "registry": null, "made": ""}',
                                  '{"format": "xmed-backup/1", "files": {}, "home": 5, "registry": null, "made": ""}',
                                  '{"format": "xmed-backup/1", "files": {}, "home": "/a", "registry": "oracle", "made": ""}',
                                  '{"format": "xmed-backup/1", "files": {}, "home": "/a", "registry": "postgresql", "made": ""}'],
                         ids=lambda text: text[:60])  # fmt: skip
def test_a_backup_whose_manifest_is_of_another_shape_is_refused(tmp_path, text):
    path = tarred(tmp_path / "b.tar", [("manifest.json", text.encode())])
    assert answer(restore, path, tmp_path / "home") == "ARCHIVE_INVALID"


# Files


def deflated(tmp_path, body: bytes):
    path = tmp_path / "a.dcm"
    whole = pydicom.dcmread(get_testdata_file("image_dfl.dcm"))
    whole.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    out = io.BytesIO()
    pydicom.dcmwrite(out, whole, enforce_file_format=True)
    data = out.getvalue()
    meta = 132 + 12 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(data[:meta] + packer.compress(body) + packer.flush())
    return path


def element(group, number, vr, value):
    return struct.pack("<HH", group, number) + vr + struct.pack("<H", len(value)) + value


@pytest.mark.parametrize(
    "body",
    [
        b"".join(element(9, 0x10, b"LO", b"") for _ in range(1)) * 4_000_000,
        struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + (b"\xfe\xff\x00\xe0\0\0\0\0" * 4_000_000) + b"\xfe\xff\xdd\xe0\0\0\0\0",
        element(8, 0x60, b"CS", b"MR") + bytes(300 << 20),
    ],
    ids=["elements", "items", "zeros"],
)  # fmt: skip
def test_a_deflated_file_of_many_parts_is_refused_soon(tmp_path, body):
    path = deflated(tmp_path, body)
    assert path.stat().st_size < 1 << 20
    found = answer(read_image, path, "MR")
    assert found not in ("OOM", "READER_CRASHED", "READER_FAILED", "taken")


def test_a_large_stream_that_does_not_shrink_is_inflated_in_one_go(tmp_path):
    """64 MB of noise: work that grows with the square of it would take minutes."""
    noise = np.random.default_rng(0).integers(0, 256, 64 << 20, np.uint8).tobytes()
    path = deflated(
        tmp_path, element(8, 0x60, b"CS", b"MR") + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, len(noise)) + noise
    )
    assert answer(read_image, path, "MR") not in ("READER_TIMEOUT", "OOM", "READER_CRASHED")


def test_a_deflated_image_is_taken():
    rows = inspect(get_testdata_file("image_dfl.dcm"))
    assert {row.code for row in rows} <= {None, "MIXED_SERIES", "NO_GEOMETRY", "US_NO_REGION", "SPACING_INVALID"}


def png(width, height, extra=b"", stream=b"") -> bytes:
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


def text_chunk(size):
    data = b"comment\0\0" + zlib.compress(bytes(size))
    return struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))


PICTURES = {
    "a million squared": png(1 << 20, 1 << 20),
    "more than anybody's": png(1 << 15, 1 << 14, stream=zlib.compress(ZEROS)),
    "a bomb in a comment": png(8, 8, text_chunk(200 << 20), zlib.compress(bytes(range(72)))),
    "a bomb of its own": png(30_000, 20_000, stream=zlib.compress(bytes(30_001) * 20_000)),
    "a JPEG of 65,500 squared": b"\xff\xd8\xff\xc0\0\x0b\x08"
    + struct.pack(">HH", 65500, 65500)
    + b"\1\1\x11\0\xff\xd9",
}


@pytest.mark.parametrize("said", PICTURES)
def test_a_picture_that_claims_more_than_it_holds_is_refused(tmp_path, said):
    (tmp_path / "a.png").write_bytes(PICTURES[said])
    assert answer(read_picture, tmp_path / "a.png") in ("SIZE_CLAIM", "PICTURE_INVALID", "INFLATE_LIMIT")


@pytest.mark.parametrize("members", [1, 3])
def test_a_nifti_that_swells_is_refused(tmp_path, members):
    import nibabel as nib

    head = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_bytes()[:352]
    head = head[:40] + struct.pack("<8h", 3, 2000, 2000, 600, 1, 1, 1, 1) + head[56:]
    parts = [gzip.compress(head + ZEROS, 9)] + [gzip.compress(ZEROS * 1200, 9)] * members
    (tmp_path / "a.nii.gz").write_bytes(b"".join(parts))
    assert answer(read_nifti, tmp_path / "a.nii.gz") in ("INFLATE_LIMIT", "SIZE_CLAIM", "NIFTI_INVALID")
