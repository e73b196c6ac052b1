"""Unpacking: an archive comes out whole below its folder, or not a byte of it."""

import io
import os
import tarfile
import zipfile

import pytest

from support.synthetic_dicom import refusal
from xmed.cohort.fetch import unpack_archive


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def tarred(path, *members):
    with tarfile.open(path, "w:gz") as file:
        for member, data in members:
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return path


def linked(name, to, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, to
    return member, b""


def test_files_and_folders_come_out_as_they_were(tmp_path):
    out = tmp_path / "out"
    unpack_archive(zipped(tmp_path / "a.zip", **{"one.txt": b"1", "deep/two.txt": b"22"}), out)
    unpack_archive(tarred(tmp_path / "a.tar.gz", (tarfile.TarInfo("deep/three.txt"), b"333")), out)
    assert {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.txt")} == {
        "one.txt": b"1",
        "deep/two.txt": b"22",
        "deep/three.txt": b"333",
    }


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "deep/../../out.txt", "..\\out.txt", "C:\\out.txt"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_name_that_leaves_the_folder_refuses_the_archive(tmp_path, kind, name):
    if kind == "zip":
        path = zipped(tmp_path / "a.zip", **{"good.txt": b"1", name: b"2"})
    else:
        path = tarred(tmp_path / "a.tgz", (tarfile.TarInfo("good.txt"), b"1"), (tarfile.TarInfo(name), b"2"))
    with refusal("PATH_UNSAFE", "ordinary files"):
        unpack_archive(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "member",
    [
        linked("a", "/etc/passwd"),
        linked("a", "../b"),
        linked("a", "b", tarfile.LNKTYPE),
        linked("a", "", tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_refuse_the_archive(tmp_path, member):
    with refusal("PATH_UNSAFE"):
        unpack_archive(tarred(tmp_path / "a.tgz", member), tmp_path / "out")


def test_a_zip_entry_with_the_mode_of_a_link_refuses_the_archive(tmp_path):
    entry = zipfile.ZipInfo("a")
    entry.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
    with refusal("PATH_UNSAFE"):
        unpack_archive(tmp_path / "a.zip", tmp_path / "out")


def test_an_archive_that_bursts_is_refused_before_it_does(tmp_path):
    path = zipped(tmp_path / "a.zip", zeros=bytes(8 << 20))
    assert path.stat().st_size < 20_000
    with refusal("SIZE_CLAIM", "bytes at most"):
        unpack_archive(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_cut_short_is_refused(tmp_path, name):
    random = os.urandom(5000)
    if name.endswith("zip"):
        path = zipped(tmp_path / name, noise=random)
    else:
        path = tarred(tmp_path / name, (tarfile.TarInfo("noise"), random))
    path.write_bytes(path.read_bytes()[:-3000])
    with refusal("ARCHIVE_INVALID", path.name):
        unpack_archive(path, tmp_path / "out")
