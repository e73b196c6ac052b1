"""B9: what one part of a home writes and another believes is damaged; it heals by reading anew, or is one coded error."""

import json
import os
import signal
import sqlite3

import numpy as np
import pytest

from xmed.cohort import find_leakage, ingest_cases, load_cohort
from xmed.cohort.fetch import fetch_files
from xmed.cohort.store import Store
from xmed.errors import CODES, XmedError


@pytest.fixture(autouse=True)
def patience():
    """A pipe in place of a file must not stop whoever opens it."""

    def late(*_):
        raise TimeoutError("nobody writes to a pipe")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def found(clinic, home):
    """Three good cases, ingested, at rest for long enough that the index knows them."""
    for path in clinic.root.rglob("*.nii.gz"):
        os.utime(path, (1, 1))
    return ingest_cases(clinic.spec(), home)


def meta(edit):
    """Damage that edits meta.json as somebody with an editor would."""

    def damage(folder, other):
        path = folder / "meta.json"
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))

    return damage


def scale(document):
    for row in range(3):
        for column in range(3):
            document["affine"][row][column] *= 3


def scale_all(document):
    scale(document)
    document["spacing_mm"] = [3 * mm for mm in document["spacing_mm"]]


def text(name, data):
    return lambda folder, other: (folder / name).write_bytes(data)


def swap(*names):
    def damage(folder, other):
        for name in names:
            here, there = (folder / name).read_bytes(), (other / name).read_bytes()
            (folder / name).write_bytes(there)
            (other / name).write_bytes(here)

    return damage


def array(change):
    def damage(folder, other):
        np.save(folder / "image.npy", change(np.load(folder / "image.npy")))

    return damage


def link(folder, other):
    (folder / "image.npy").unlink()
    os.link(other / "image.npy", folder / "image.npy")


def pipe(folder, other):
    (folder / "image.npy").unlink()
    os.mkfifo(folder / "image.npy")


def directory(folder, other):
    (folder / "image.npy").unlink()
    (folder / "image.npy").mkdir()


def moved(folder, other):
    folder.rename(folder.with_name("away"))
    other.rename(folder)
    folder.with_name("away").rename(other)


def drop(key):
    return meta(lambda document: document.pop(key))


def put(key, value):
    return meta(lambda document: document.update({key: value}))


DAMAGES = {
    "image.npy of 0 bytes": text("image.npy", b""),
    "image.npy of text": text("image.npy", b"not an array"),
    "image.npy that is a zip": text("image.npy", b"PK\x03\x04" + b"\0" * 60),
    "image.npy whose header claims 2^40 voxels": text("image.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': True, 'shape': (1099511627776, 1, 1), }".ljust(128) + b"\n"),
    "image.npy with another type": array(lambda a: a.astype(np.float64)),
    "image.npy with another shape": array(lambda a: a.reshape(a.shape[::-1])),
    "image.npy flipped": array(lambda a: np.asfortranarray(a[::-1])),
    "image.npy of objects": lambda folder, other: np.save(folder / "image.npy", np.array([{}], dtype=object)),
    "image.npy a pipe": pipe,
    "image.npy a folder": directory,
    "image.npy a hard link to another case's": link,
    "meta.json of 0 bytes": text("meta.json", b""),
    "meta.json cut short": text("meta.json", b'{"shape": [1, 2'),
    "meta.json not UTF-8": text("meta.json", b'{"frame": "\xff\xfe"}'),
    "meta.json a list": text("meta.json", b"[]"),
    "meta.json null": text("meta.json", b"null"),
    "meta.json too deep": text("meta.json", b"[" * 100_000),
    "affine: 1 mm becomes 3 mm": meta(scale),
    "affine and spacing: 1 mm becomes 3 mm": meta(scale_all),
    "affine moved by 5 mm": meta(lambda d: d["affine"][0].__setitem__(3, d["affine"][0][3] + 5)),
    "affine mirrored": meta(lambda d: [row.__setitem__(0, -row[0]) for row in d["affine"]]),
    "affine singular": put("affine", np.zeros((4, 4)).tolist()),
    "affine of text": put("affine", "identity"),
    "affine gone": drop("affine"),
    "frame of another": put("frame", "1.2.3.4"),
    "frame gone": drop("frame"),
    "modality of another": put("modality", "CT"),
    "a field of view that is not there": put("fov", True),
    "spacing of another": put("spacing_mm", [1, 1, 9]),
    "notes gone": drop("notes"),
    "facts of another": put("facts", {"sex": "F"}),
    "facts a list": put("facts", []),
    "digest gone": drop("sha256"),
    "a key more": put("windowed", True),
    "images of two cases swapped": swap("image.npy"),
    "images and headers of two cases swapped": swap("image.npy", "meta.json"),
    "folders of two cases swapped": moved,
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_entry_is_never_believed_and_heals(found, clinic, home, name):
    case, other = found.cases[:2]
    before = {
        c.id: (np.array(found.image(c).array), found.image(c).affine.copy(), found.image(c).modality)
        for c in found.cases
    }
    store = Store(home)
    DAMAGES[name](store.folder(case.image), store.folder(other.image))
    with pytest.raises(XmedError) as refused:
        load_cohort("clinic", home).image(case)
    assert refused.value.code in CODES
    assert not Store(home).intact(case.image)
    again = ingest_cases(clinic.spec(), home)
    assert again.fingerprint == found.fingerprint
    for one in again.cases:
        volume, (voxels, affine, modality) = again.image(one), before[one.id]
        np.testing.assert_array_equal(volume.array, voxels)
        np.testing.assert_array_equal(volume.affine, affine)
        assert volume.modality == modality


def test_an_untouched_store_is_not_read_again(found, clinic, home):
    inode = (Store(home).folder(found.cases[0].image) / "image.npy").stat().st_ino
    assert ingest_cases(clinic.spec(), home).fingerprint == found.fingerprint
    assert (Store(home).folder(found.cases[0].image) / "image.npy").stat().st_ino == inode


def test_an_entry_of_version_0_1_0_still_opens(found, home):
    """It had no seal: shape, spacing_mm, affine, frame, modality, fov, sha256, notes, facts."""
    case = found.cases[0]
    path = Store(home).folder(case.image) / "meta.json"
    kept = ("shape", "spacing_mm", "affine", "frame", "modality", "fov", "sha256", "notes", "facts")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({key: document[key] for key in kept}))
    assert load_cohort("clinic", home).image(case).array.shape == tuple(document["shape"])


@pytest.mark.parametrize("name", ["affine: 1 mm becomes 3 mm", "image.npy of 0 bytes", "image.npy flipped"])
def test_an_entry_of_version_0_1_0_is_not_believed_either(found, home, name):
    test_an_entry_of_version_0_1_0_still_opens(found, home)
    case, other = found.cases[:2]
    DAMAGES[name](Store(home).folder(case.image), Store(home).folder(other.image))
    with pytest.raises(XmedError):
        load_cohort("clinic", home).image(case)


# --- manifests --------------------------------------------------------------------------------------------------------


def manifest(edit):
    def damage(path):
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))

    return damage


def _swap_images(document):
    a, b = document["cases"][:2]
    a["image"], b["image"] = b["image"], a["image"]


MANIFESTS = {
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-50]),
    "not UTF-8": lambda path: path.write_bytes(path.read_bytes().replace(b'"clinic"', b'"\xff\xfe"')),
    "a list": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "a number": lambda path: path.write_text("7"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "brackets": lambda path: path.write_text("[" * 100_000),
    **{f"without {key}": manifest(lambda d, key=key: d.pop(key)) for key in ("schema", "spec", "cases", "quarantined", "found")},
    "another schema": manifest(lambda d: d.update(schema="xmed-dataset/9")),
    "cases of null": manifest(lambda d: d.update(cases=None)),
    "a case of text": manifest(lambda d: d.update(cases=["a"])),
    "a case without a key": manifest(lambda d: d["cases"][0].pop("image")),
    "a case with a key more": manifest(lambda d: d["cases"][0].update(weight=3)),
    "a key of a number": manifest(lambda d: d["cases"][0].update(image=3)),
    "a key that climbs out": manifest(lambda d: d["cases"][0].update(image="../../../etc/passwd")),
    "a spec of text": manifest(lambda d: d.update(spec="clinic")),
    "a spec of another table": manifest(lambda d: d["spec"]["labels"].update({"1": {"name": "x", "category": "1", "type": "1"}})),
    "images of two cases swapped": manifest(_swap_images),
    "a patient of another": manifest(lambda d: d["cases"][0].update(patient=d["cases"][1]["patient"])),
    "a case moved to another split": manifest(lambda d: d["cases"][0].update(split="select")),
    "found a word": manifest(lambda d: d.update(found="many")),
}  # fmt: skip


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_damaged_manifest_is_one_coded_error_and_heals(found, clinic, home, name):
    MANIFESTS[name](Store(home).dataset("clinic"))
    with pytest.raises(XmedError) as refused:
        load_cohort("clinic", home)
    assert refused.value.code in CODES
    if name != "a folder":
        ingest_cases(clinic.spec(), home)
        assert load_cohort("clinic", home).fingerprint == found.fingerprint


def test_a_manifest_of_version_0_1_0_still_opens(found, home):
    path = Store(home).dataset("clinic")
    kept = ("schema", "spec", "fingerprint", "found", "cases", "quarantined")
    document = json.loads(path.read_text())
    path.write_text(json.dumps({key: document[key] for key in kept}))
    assert load_cohort("clinic", home).cases == found.cases


# --- what is kept beside ----------------------------------------------------------------------------------------------

KEPT = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"none"),
    "another shape": lambda path: np.save(path.open("wb"), np.zeros(3)),
    "another type": lambda path: np.save(path.open("wb"), np.array(["a"] * 4096)),
    "no numbers": lambda path: np.save(path.open("wb"), np.full(4096, np.nan)),
    "another image's": lambda path: np.save(path.open("wb"), np.ones(4096) / 64),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_damaged_thumbnail_is_made_anew(found, clinic, home, name):
    before = find_leakage([found], found)
    files = [path for path in (home / "store" / "likeness").iterdir() if path.is_file()]
    assert files
    for path in files:
        KEPT[name](path)
    assert find_leakage([found], found) == before


INDEXES = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"no database" * 1000),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "without tables": lambda path: (path.unlink(), sqlite3.connect(path).execute("CREATE TABLE x (y)")),
    "tables of another shape": lambda path: (
        path.unlink(),
        sqlite3.connect(path).executescript("CREATE TABLE files (a); CREATE TABLE sets (b);"),
    ),
    "values of nothing": lambda path: _sql(path, "UPDATE files SET value=NULL", "UPDATE sets SET value=NULL"),
    "values of numbers": lambda path: _sql(path, "UPDATE files SET value=7", "UPDATE sets SET value=7"),
    "values of one file for all": lambda path: _sql(
        path,
        "UPDATE sets SET value=(SELECT max(value) FROM sets)",
        "UPDATE files SET value=(SELECT max(value) FROM files)",
    ),
}


def _sql(path, *statements):
    base = sqlite3.connect(path)
    for statement in statements:
        base.execute(statement)
    base.commit()
    base.close()


@pytest.mark.parametrize("name", INDEXES)
def test_a_damaged_index_costs_time_and_nothing_else(found, clinic, home, name):
    for path in (home / "store").glob("index.db-*"):
        path.unlink()
    INDEXES[name](home / "store" / "index.db")
    again = ingest_cases(clinic.spec(), home)
    assert again.fingerprint == found.fingerprint
    assert again.cases == found.cases


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"null", b'{"code": 3}', b"[" * 100_000])
def test_a_damaged_record_of_quarantine_is_written_anew(clinic, home, content):
    (clinic.root / "image" / "a.nii.gz").write_bytes(b"")
    ingest_cases(clinic.spec(), home)
    (path,) = (home / "quarantine" / "clinic").glob("*.json")
    path.write_bytes(content)
    ingest_cases(clinic.spec(), home)
    assert json.loads(path.read_text())["code"] == "EMPTY_FILE"


@pytest.mark.parametrize("mark", [b"\xff\xfe\n", b"", b"0" * 64 + b"\n", None])
def test_a_fetched_file_is_what_its_mark_says_or_is_fetched_again(clinic, tmp_path, mark):
    import hashlib
    import io

    data = b"the published bytes"
    file = {"url": "https://example.org/cases.csv", "sha256": hashlib.sha256(data).hexdigest()}
    spec = clinic.spec(files=[file])
    fetch_files(spec, tmp_path / "root", lambda url: io.BytesIO(data))
    if mark is not None:
        (tmp_path / "root" / ".cases.csv.fetched").write_bytes(mark)
    (tmp_path / "root" / "cases.csv").write_bytes(b"other bytes, of a disk that failed")
    fetch_files(spec, tmp_path / "root", lambda url: io.BytesIO(data))
    assert (tmp_path / "root" / "cases.csv").read_bytes() == data
