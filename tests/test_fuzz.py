"""Fuzz: for any bytes, only a coded refusal leaves `io`, within 2 seconds and 1 GiB, and nothing is written."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image
from pydicom.data import get_testdata_file

from support import sandbox_faults
from support.synthetic_dicom import enhanced, film, oblique, rtstruct, save, slices, texture
from xmed.errors import CODES
from xmed.io.notes import collect_notes
from xmed.io.sandbox.limits import ReaderBudget
from xmed.io.sandbox.worker import run_in_sandbox_within

BUDGET = ReaderBudget(
    memory=1 << 30, computing=1, waiting=60
)  # the kernel counts whole seconds: at most 2 of computing
PYDICOM = [
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "JPEG-lossy.dcm", "JPEG2000.dcm", "UN_sequence.dcm",
    "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_2frame.dcm", "SC_rgb_small_odd.dcm", "badVR.dcm", "image_dfl.dcm",
    "liver_1frame.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm", "rtdose_rle_1frame.dcm", "rtplan.dcm",
    "rtstruct.dcm", "test-SR.dcm", "waveform_ecg.dcm", "ExplVR_LitEndNoMeta.dcm",
]  # fmt: skip
NIBABEL = ["anatomical.nii", "standard.nii.gz", "example_nifti2.nii.gz"]
ALLOWED = {*CODES, "volume"} - {"FAULT", "OOM", "READER_TIMEOUT", "READER_CRASHED"}
HEADER = 2048
"""Most bit flips go here: what follows is mostly voxels, where any value is as good as another."""


class Files:
    """The seeds, and a folder where a damaged one is put to be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "fuzz"
        self.folder.mkdir()
        self.seeds = _real() + _made(folder / "made")

    def answers(self, which: int, accidents: list[tuple[str, int, int]]) -> tuple[str, ...]:
        """What the readers say to a seed after its accidents."""
        path = self.folder / "file"
        path.write_bytes(damaged(self.seeds[which % len(self.seeds)], accidents, self.seeds))
        with collect_notes():
            answers = run_in_sandbox_within(BUDGET, sandbox_faults.read_as_it_comes, path)
        assert [inner.name for inner in self.folder.iterdir()] == ["file"]
        return answers


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def _real() -> list[bytes]:
    """Real files, out of the packages that read them."""
    folder = Path(nib.__file__).parent / "tests" / "data"
    paths = [Path(get_testdata_file(name)) for name in PYDICOM] + [folder / name for name in NIBABEL]
    return [path.read_bytes() for path in paths]


def _made(folder: Path) -> list[bytes]:
    """What the packages lack."""
    array, affine = texture((12, 9, 7)), oblique()
    objects = [slices(array, affine)[0], enhanced(array, affine), enhanced(array, affine, "US")]
    objects += [
        film(texture((3, 30, 40)).astype(np.uint8)),
        rtstruct({"prostate": [[(0, 0, 0), (9, 0, 0), (9, 9, 0)]]}),
    ]
    save(objects, folder)
    volume = nib.Nifti1Image(array.astype(np.int16), affine).to_bytes()
    (folder / "volume.nii").write_bytes(volume)
    (folder / "volume.nii.gz").write_bytes(gzip.compress(volume))
    Image.fromarray(array[:, :, 0].astype(np.uint8)).save(folder / "picture.png")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@st.composite
def damage(draw) -> list[tuple[str, int, int]]:
    """What happens to a file: up to four accidents, each with two numbers that say where and how."""
    kinds = st.sampled_from(["cut", "flip", "length", "swap", "splice", "zero"])
    return draw(
        st.lists(st.tuples(kinds, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=4)
    )


def damaged(data: bytes, accidents: list[tuple[str, int, int]], others: list[bytes]) -> bytes:
    """The file after its accidents."""
    out = bytearray(data)
    for kind, a, b in accidents:
        if not out:
            break
        at = a % min(len(out), HEADER)
        if kind == "cut":
            del out[a % len(out) :]
        elif kind == "flip":
            out[at] ^= 1 << b % 8
        elif kind == "length":  # four bytes that a reader may take for a length
            out[at : at + 4] = b.to_bytes(4, "little")
        elif kind == "swap":
            there = b % min(len(out), HEADER)
            out[at : at + 4], out[there : there + 4] = out[there : there + 4], out[at : at + 4]
        elif kind == "splice":
            other = others[b % len(others)]
            out[at:] = other[a % max(len(other), 1) :]
        else:
            out[at : at + 64] = bytes(64)
    return bytes(out)


def test_every_seed_is_read_or_refused_as_it_is(files):
    answers = [files.answers(which, []) for which in range(len(files.seeds))]
    said = {answer for three in answers for answer in three}
    assert said <= ALLOWED
    assert len(answers) >= 30
    assert sum("volume" in three for three in answers) >= 10  # whole files: what is damaged would have been read


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 10_000), accidents=damage())
def test_whatever_happens_to_a_file_the_answer_is_a_volume_or_a_code(files, which, accidents):
    assert set(files.answers(which, accidents)) <= ALLOWED


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(which=st.integers(0, 10_000), accidents=damage())
def test_it_holds_for_thousands_of_files_never_seen_before(files, which, accidents):
    assert set(files.answers(which, accidents)) <= ALLOWED
