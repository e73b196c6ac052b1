"""D1: whatever stands in an archive, a model folder, a manifest or a run's document, only a coded refusal leaves."""

import hashlib
import io
import json
import lzma
import os
import tarfile
import zipfile

import pytest

from support.untrusted_inputs import answer, tarred, zipped
from xmed.app import published_runs
from xmed.cohort.fetch import unpack_archive
from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.model.folder import CARD, WEIGHTS, check_model
from xmed.networks import build_network
from xmed.report import verify_report
from xmed.spec import GridSpec, NetworkSpec

LISTS = {
    "a file and a file below it": [("a", b"1"), ("a/b", b"2")],
    "the same the other way round": [("a/b", b"1"), ("a", b"2")],
    "one name twice": [("a", b"1"), ("a", b"2")],
    "one name in two spellings": [("a/b", b"1"), ("a/./b", b"2")],
    "a name too long": [("a" * 300, b"1")],
    "folders without end": [("a/" * 3000 + "b", b"1")],
    "a name of a dot": [("./.", b"1")],
    "an escape sequence": [("a\x1b[31m", b"1")],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("said", LISTS)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_names_that_cannot_stand_beside_each_other_are_refused(tmp_path, said, kind):
    path = tmp_path / f"a.{kind}"
    (zipped(path, LISTS[said]) if kind == "zip" else tarred(path, LISTS[said], "w:gz" if kind == "tar.gz" else "w"))
    assert answer(unpack_archive, path, tmp_path / "out") in ("ARCHIVE_INVALID", "PATH_UNSAFE")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("data", [b"\0" * 2048, b"PK\3\4" + b"x" * 500, b"\x1f\x8b\x08" + b"y" * 500, b"BZh9" + b"z" * 500,
                                  b"\xfd7zXZ\0" + b"w" * 500, b"PK\5\6" + b"\xff" * 18, b"text"],
                         ids=lambda data: ascii(data)[:20])  # fmt: skip
def test_bytes_that_are_no_archive_are_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert answer(unpack_archive, tmp_path / name, tmp_path / "out") in ("ARCHIVE_INVALID", "taken")
    assert not list((tmp_path / "out").rglob("*")) if (tmp_path / "out").exists() else True


@pytest.mark.parametrize(("kind", "method"), [("zip", zipfile.ZIP_LZMA), ("zip", zipfile.ZIP_BZIP2), ("zip", zipfile.ZIP_DEFLATED),
                                             ("tar", "w:xz"), ("tar", "w:bz2"), ("tar", "w:gz")])  # fmt: skip
@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_a_stream_with_bits_turned_is_refused(tmp_path, kind, method, at):
    noise = os.urandom(4000)
    if kind == "zip":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w", method) as file:
            file.writestr("noise", noise)
    else:
        path = tarred(tmp_path / f"a.tar.{method[2:]}", [("noise", noise)], method)
    data = bytearray(path.read_bytes())
    for offset in range(20):
        data[int(len(data) * at) + offset] ^= 0xFF
    path.write_bytes(data)
    assert answer(unpack_archive, path, tmp_path / "out") == "ARCHIVE_INVALID"


def test_a_zip_with_a_name_that_is_no_utf8_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [("aä", b"1")])
    path.write_bytes(path.read_bytes().replace("aä".encode(), b"a\xff\xfe"))
    assert answer(unpack_archive, path, tmp_path / "out") in ("ARCHIVE_INVALID", "PATH_UNSAFE")


def test_a_zip_with_an_unknown_method_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [("a", b"1" * 99)])
    data = bytearray(path.read_bytes())
    data[8], data[data.index(b"PK\1\2") + 10] = 99, 99
    path.write_bytes(data)
    assert answer(unpack_archive, path, tmp_path / "out") == "ARCHIVE_INVALID"


@pytest.mark.parametrize("headers", [{"size": "-1"}, {"size": "9" * 400}, {"path": "a\0b"}, {"mtime": "nan"}, {"uid": "1e999"},
                                     {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "x"},
                                     {"GNU.sparse.map": "0,1,9"}, {"hdrcharset": "BINARY", "path": "\ud800"}],
                         ids=lambda headers: ascii(headers)[:40])  # fmt: skip
def test_a_tar_with_records_that_mean_nothing_is_refused_or_read(tmp_path, headers):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, errors="surrogatepass") as file:
        entry = tarfile.TarInfo("a")
        entry.pax_headers, entry.size = headers, 5
        try:
            file.addfile(entry, io.BytesIO(b"12345"))
        except (UnicodeError, ValueError):
            pytest.skip("tarfile does not write it")
    assert answer(unpack_archive, path, tmp_path / "out") in ("ARCHIVE_INVALID", "PATH_UNSAFE", "SIZE_CLAIM", "taken")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_an_ordinary_archive_is_taken(tmp_path, kind):
    members = [("a/one.nii", b"1" * 100), ("a/two.nii", b"2" * 100), ("b/Übung.txt", b"3"), ("c/", b"")]
    if kind == "zip":
        path = zipped(tmp_path / "a.zip", members)
    else:
        path = tarred(tmp_path / f"a.{kind}", members[:-1], {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[kind])
    assert answer(unpack_archive, path, tmp_path / "out") == "taken"
    assert (tmp_path / "out" / "b" / "Übung.txt").read_bytes() == b"3"


def test_an_xz_that_asks_for_gigabytes_is_refused(tmp_path):
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30, "preset": 0}]
    plain = tarred(tmp_path / "b.tar", [("a", os.urandom(100))]).read_bytes()
    path = tmp_path / "a.tar.xz"
    path.write_bytes(lzma.compress(plain, filters=filters))
    assert answer(unpack_archive, path, tmp_path / "out") in ("ARCHIVE_INVALID", "SIZE_CLAIM", "OOM", "taken")


# Models


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A model folder in which nothing is wrong."""
    spec = NetworkSpec(channels=[4, 8, 8])
    table = LabelTable((Structure(1, "organ", "91723000", "41216001"),))
    model = Model(build_network(spec, 2, 1, 2), GridSpec(spacing_mm=(1, 1, 1), patch=(32, 32, 1)), spec, "MR", table)
    return model.save(tmp_path_factory.mktemp("sound") / "model")


@pytest.fixture
def folder(sound, tmp_path):
    (tmp_path / "model").mkdir()
    for name in (WEIGHTS, CARD):
        (tmp_path / "model" / name).write_bytes((sound / name).read_bytes())
    return tmp_path / "model"


HUGE = {"spacing_mm": [1, 1, 1], "patch": [1 << 20, 1 << 20, 1], "fit": None, "context": 0}
CARDS = [
    {"grid": HUGE}, {"grid": {**HUGE, "patch": [1 << 13, 1 << 13, 1 << 14]}}, {"grid": {**HUGE, "patch": [32, 32, 1], "spacing_mm": [1e-30, 1, 1]}},
    {"grid": [1, 2]}, {"grid": None}, {"grid": {**HUGE, "patch": "abc"}}, {"network": {"name": "unet", "channels": [4, 8, 10**12]}},
    {"network": {"name": "unet", "channels": [4, 8, 8], "members": 10**9}}, {"network": {"name": "os.system", "channels": [4, 8, 8]}},
    {"network": 7}, {"window": [0, 10**400]}, {"window": [0]}, {"window": "ab"}, {"window": [1, 0]}, {"window": {"a": 1}}, {"window": ["-inf", "nan"]},
    {"structures": {"a": 1}}, {"structures": [[]]}, {"structures": [{"value": "1", "name": "a"}]}, {"structures": [{"value": 1, "name": ["a"]}]},
    {"structures": [{"value": 10**30, "name": "a"}]}, {"structures": [{"value": 1, "name": "a", "fluid": 1}]}, {"structures": []},
    {"structures": [{"value": 1, "name": "a", "type": 5}]}, {"structures": [{"value": 1, "name": "a\u001b[31m"}]},
    {"modality": 5}, {"modality": None}, {"modality": "MR" * 100}, {"largest_component": "no"}, {"enlarges": [1]}, {"weights_sha256": 5},
]  # fmt: skip


@pytest.mark.parametrize("change", CARDS, ids=lambda change: ascii(change)[:70])
def test_a_model_that_describes_nothing_that_could_be_is_refused(folder, change):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **change}))
    assert answer(Model.load, folder) == "MODEL_INVALID"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 60_000, "[]", "5", "null", "", '{"weights_sha256": ' + "9" * 5000 + "}", "\ud800",
                                  '{"grid": NaN}', '{"a": 1, "a": 2}', '"a"'], ids=lambda text: ascii(text)[:20])  # fmt: skip
@pytest.mark.parametrize("load", [Model.load, check_model], ids=["load", "check_model"])
def test_a_description_that_is_none_is_refused(folder, text, load):
    (folder / CARD).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert answer(load, folder) == "MODEL_INVALID"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder, value):
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / WEIGHTS)
    next(array for array in weights.values() if array.dtype.kind == "f" and array.size)[...] = value
    save_file(weights, folder / WEIGHTS)
    card = json.loads((folder / CARD).read_text())
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / CARD).write_text(json.dumps({**card, "weights_sha256": digest}))
    assert answer(Model.load, folder) == "MODEL_INVALID"


def test_a_sound_model_is_taken(folder):
    assert answer(Model.load, folder) == "taken"


# Manifests of published runs, and reports

SHA = hashlib.sha256(b"1").hexdigest()
FILES = {
    "no mapping": [], "a list of files": ["a"], "nothing": None, "a file without facts": {"a": None}, "no sha": {"a": {"bytes": 1}},
    "no size": {"a": {"sha256": SHA}}, "a size that is text": {"a": {"bytes": "1", "sha256": SHA}}, "a size below zero": {"a": {"bytes": -1, "sha256": SHA}},
    "another sha": {"a": {"bytes": 1, "sha256": "0" * 64}}, "a sha that is a number": {"a": {"bytes": 1, "sha256": 5}},
    "a name that climbs": {"../a": {"bytes": 1, "sha256": SHA}}, "an absolute name": {"/a": {"bytes": 1, "sha256": SHA}},
    "an empty name": {"": {"bytes": 1, "sha256": SHA}}, "a NUL": {"a\0": {"bytes": 1, "sha256": SHA}}, "a dot": {".": {"bytes": 1, "sha256": SHA}},
    "a file and a file below it": {"a": {"bytes": 1, "sha256": SHA}, "a/b": {"bytes": 1, "sha256": SHA}},
    "a name too long": {"a" * 300: {"bytes": 1, "sha256": SHA}}, "a size that is a truth": {"a": {"bytes": True, "sha256": SHA}},
}  # fmt: skip


@pytest.mark.parametrize("said", FILES)
def test_a_manifest_of_another_shape_is_refused(tmp_path, said):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a").write_bytes(b"1")
    (tmp_path / "run" / "MANIFEST.json").write_text(
        json.dumps({"schema": "xmed-share/1", "run": "run", "files": FILES[said]})
    )
    found = answer(published_runs.fetch, (tmp_path / "run").as_uri(), tmp_path / "home")
    assert found in ("SHARE_FAILED", "FETCH_MISMATCH", "PATH_UNSAFE")


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "5", "null", "{}", "", "{", "\ufffd", '{"schema": 1}'])
def test_a_manifest_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "MANIFEST.json").write_text(text)
    assert answer(published_runs.fetch, (tmp_path / "run").as_uri(), tmp_path / "home") == "SHARE_FAILED"


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "5", "null", "{}", "", "{", '{"report_id": ' + "9" * 5000 + "}", '{"a": 1, "a": 2}'],
                         ids=lambda text: text[:20])  # fmt: skip
def test_a_report_of_another_shape_does_not_verify(tmp_path, text):
    """A mismatch, as `xmed report verify` says with exit code 1: the folder has a report, and it is not sound."""
    (tmp_path / "report.json").write_text(text)
    problems = verify_report(tmp_path)
    assert any("report.json" in line or line.startswith("report: ") for line in problems)
