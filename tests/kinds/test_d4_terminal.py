"""D4: whatever a file, a folder or a value is called, no byte of it is obeyed by a terminal."""

import json
import re
import shutil
import unicodedata

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from support.untrusted_inputs import DATASET, STUDY, xmed, xmed_each

NAMES = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;owned\x07x",
    "link": "\x1b]8;;http://evil\x1b\\x",
    "C1": "\x9b31mred",
    "clear": "a\x1b[2J\x1b[1;1H",
    "return": "a\rerror",
    "line": "a\nINFO all good",
    "bell": "a\x07\x08b",
    "right to left": "a\u202egnp.exe",
    "isolate": "a\u2066b\u2069",
    "zero width": "a\u200b\u2060b",
    "line separator": "a\u2028b",
    "markup": "[red]a[/red]",
    "markup that closes nothing": "a[/]b",
    "a link in markup": "[link=http:evil]a[/link]",
    "emoji code": ":smiley:a",
}
HARMLESS = {"markup", "markup that closes nothing", "a link in markup", "emoji code"}


def clean(data: bytes) -> bool:
    """Whether there is nothing in it that a terminal obeys or that turns or hides what is read."""
    text = data.decode("utf-8")
    bad = [
        sign
        for sign in text
        if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") and sign not in "\n\u200c\u200d"
    ]
    return not bad


def lines_begin_well(data: bytes) -> bool:
    """Whether no line begins with what a name says of itself."""
    return not re.search(rb"^INFO all good", data, re.MULTILINE)


def image(folder, name):
    """A NIfTI of that name, a picture that is none, and a DICOM file below a folder of that name."""
    (folder / name).mkdir(parents=True)
    nib.Nifti1Image(
        np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32), np.diag([1, 1, 1, 1])
    ).to_filename(folder / f"{name}.nii")
    (folder / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\nnone")
    shutil.copy(get_testdata_file("CT_small.dcm"), folder / name / "a.dcm")
    return folder


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    """What `xmed inspect` shows of files of each name; one process takes them all."""
    place = tmp_path_factory.mktemp("names")
    commands = [["inspect", str(image(place / f"in{number}", name))] for number, name in enumerate(NAMES.values())]
    return dict(zip(NAMES, xmed_each(commands, place / "home"), strict=True))


@pytest.mark.parametrize("which", NAMES)
def test_inspect_shows_names_that_do_nothing(inspected, which):
    name, done = NAMES[which], inspected[which]
    assert done.returncode == 0, done.stderr[-300:]
    assert clean(done.stdout)
    assert clean(done.stderr)
    assert lines_begin_well(done.stdout + done.stderr)
    if name in {NAMES[said] for said in HARMLESS}:
        assert name[:6].encode() in done.stdout  # it is shown as it is


REFUSED = [
        ["inspect", "{0}"], ["run", "{0}"], ["run", "{0}.yaml"], ["ingest", "{0}"], ["predict", "{0}", "{0}", "-o", "{0}.nii"],
        ["deidentify", "{0}", "out"], ["report", "verify", "{0}"], ["approve", "{0}", "1"], ["restore", "{0}"], ["{0}"], ["methods", "{0}"],
        ["compare", "{0}", "--methods", "{0}"], ["schema", "{0}"], ["run", "x", "--seeds", "{0}"],
]  # fmt: skip
REPEATED = ["colour", "line", "right to left", "C1", "markup that closes nothing"]


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """What each command says to each of the names; one process takes them all."""
    keys = [(" ".join(words), which) for words in REFUSED for which in REPEATED]
    commands = [[word.format(NAMES[which]) for word in words] for words in REFUSED for which in REPEATED]
    return dict(zip(keys, xmed_each(commands, tmp_path_factory.mktemp("refused") / "home"), strict=True))


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: " ".join(words))
@pytest.mark.parametrize("which", REPEATED)
def test_a_refusal_repeats_names_that_do_nothing(refused, words, which):
    done = refused[" ".join(words), which]
    assert done.returncode == 2, done.stderr[-300:]
    assert clean(done.stdout + done.stderr)
    assert lines_begin_well(done.stdout + done.stderr)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("which", ["colour", "line", "right to left"])
def test_json_escapes_by_itself(tmp_path, which):
    done = xmed("inspect", NAMES[which], "--json", home=tmp_path / "home")
    assert NAMES[which] in json.loads(done.stdout)["error"]["what"]
    assert clean(done.stdout)


@pytest.mark.parametrize("value", ["\x1b[31m^X", "a\rb", "[/]"])
def test_values_of_a_header_do_nothing(tmp_path, value):
    whole = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword in ("SeriesDescription", "PatientID", "ImageType", "Modality", "ProtocolName", "Manufacturer"):
        setattr(whole, keyword, value)
    whole.save_as(tmp_path / "a.dcm")
    done = xmed("inspect", str(tmp_path / "a.dcm"), home=tmp_path / "home")
    assert done.returncode in (0, 2)
    assert clean(done.stdout + done.stderr)


@pytest.mark.parametrize("text", [DATASET.replace("modality: MR", 'modality: "\\e[31m"'), DATASET + '"\\e]0;x\\a": 1\n', DATASET + "\u202e: 1\n",
                                  STUDY.replace("name: trial", 'name: "\\e[2J"')], ids=ascii)  # fmt: skip
def test_keys_and_values_of_a_spec_do_nothing(tmp_path, text):
    (tmp_path / "clinic.yaml").write_text(text)
    done = xmed("ingest", str(tmp_path / "clinic.yaml"), home=tmp_path / "home")
    assert done.returncode == 2
    assert clean(done.stdout + done.stderr)


@pytest.mark.parametrize("name", ["übung.nii", "画像.nii", "می\u200cخواهم.nii", "a b.nii"])
def test_names_of_other_scripts_are_shown_as_they_are(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(b"none")
    done = xmed("inspect", str(tmp_path / "in" / "x" / name), home=tmp_path / "home")
    assert name in done.stderr.decode()
