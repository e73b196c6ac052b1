"""Files: a kind is known by content, and nothing outside the named folder is opened."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.synthetic_dicom import image, refusal, save
from xmed.errors import XmedError
from xmed.io import write_nifti
from xmed.io.file_kinds import file_kind, list_files, reader_errors, walk_files, walk_with_problems
from xmed.volume import Volume


def test_a_kind_is_known_by_content_not_by_name(tmp_path):
    save([image(np.ones((3, 3), np.uint8), "1.2.840.10008.5.1.4.1.1.2", "CT")], tmp_path, names=["a.nii.gz"])
    write_nifti(Volume(np.ones((3, 3, 3)), np.eye(4)), tmp_path / "b.nii")
    write_nifti(Volume(np.ones((3, 3, 3)), np.eye(4)), tmp_path / "c.nii.gz")
    (tmp_path / "b.nii").rename(tmp_path / "b.dcm")
    (tmp_path / "c.nii.gz").rename(tmp_path / "c.png")
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "d", format="JPEG")
    (tmp_path / "e.dcm").write_text("text")
    kinds = [file_kind(path) for path in sorted(tmp_path.iterdir())]
    assert kinds == ["dicom", "nifti", "nifti", "picture", "other"]


def test_the_walk_stays_in_its_folder_and_passes_over_what_is_hidden_or_no_file(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    for path in (inside / "b", inside / "deep" / "a", inside / ".hidden", outside / "secret"):
        path.write_text("x")
    (inside / "link").symlink_to(outside / "secret")
    (inside / "loop").symlink_to(inside, target_is_directory=True)
    (inside / "near").symlink_to(inside / "b")
    os.mkfifo(inside / "pipe")
    assert [path.relative_to(inside).as_posix() for path in walk_files(inside)] == ["b", "near", "deep/a"]


def test_what_is_unsafe_in_a_folder_is_named_with_the_reason(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    os.mkfifo(inside / "pipe")
    (inside / "link").symlink_to("/etc/hostname")
    (inside / "dead").symlink_to(inside / "nothing")
    (inside / "circle").symlink_to(inside / "circle")
    Path(os.fsdecode(bytes(inside) + b"/\xff.dcm")).write_text("x")
    (inside / "plain").write_text("x")
    found = {path.name: problem and problem.code for path, problem in walk_with_problems(inside)}
    unsafe = "PATH_UNSAFE"
    refused = dict.fromkeys(("pipe", "link", "dead", "circle", "\\xff.dcm"), unsafe)
    assert found == {**refused, "plain": None}
    with refusal(unsafe):
        list_files(inside)


def test_a_tree_without_end_is_refused_before_it_is_walked(tmp_path, monkeypatch):
    for n in range(4):
        (tmp_path / f"{n}").write_text("x")
    deep = tmp_path.joinpath(*["a"] * 70)
    deep.mkdir(parents=True)
    with refusal("PATH_UNSAFE", "64 folders in one another"):
        list_files(tmp_path)
    monkeypatch.setattr("xmed.io.file_kinds.MAX_FILES", 3)
    with refusal("PATH_UNSAFE", "more than 3 files"):
        list_files(tmp_path)


def test_a_path_must_name_bytes(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for name, code in {"pipe": "PATH_UNSAFE", "empty": "EMPTY_FILE", "none": "PATH_NOT_FOUND"}.items():
        with refusal(code):
            list_files(tmp_path / name)


class Panic(BaseException):
    """What a codec in Rust raises."""


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (MemoryError(), "OOM"),
        (RecursionError(), "NESTING"),
        (ValueError("Zz^Secret"), "READER_FAILED"),
        (Panic("Zz"), "READER_FAILED"),
    ],
)
def test_whatever_a_parser_throws_becomes_a_coded_refusal_that_quotes_nothing(problem, code):
    with refusal(code, "x.dcm") as caught, reader_errors("x.dcm"):
        raise problem
    assert "Zz" not in str(caught.value)


def test_a_refusal_passes_through_as_it_is():
    with refusal("SLICE_GAP"), reader_errors("x"):
        raise XmedError("SLICE_GAP", "here")


def test_whoever_presses_ctrl_c_is_obeyed():
    with pytest.raises(KeyboardInterrupt), reader_errors("x"):
        raise KeyboardInterrupt
