"""D1: documents of a run and of a report that are damaged or of another shape: a mismatch that is named, never a fault."""

import json
import shutil

import numpy as np
import pytest

from support.evaluated_runs import written
from xmed import report
from xmed.cli.main import main
from xmed.errors import XmedError

DEEP, LONG = "[" * 100_000, '{"a": ' + "9" * 5000 + "}"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A run with its report, in which nothing is wrong."""
    run = written(tmp_path_factory.mktemp("sound") / "run", patients=3, seeds=(0,), kept=True)
    run.write("selection", {"promoted": True, "reason": "better", "registered": True, "seeds": {}})
    report.write_report(run)
    return run.folder


@pytest.fixture
def run(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "run")


def changed(path, change):
    """The file with what `change` makes of its document."""
    document = json.loads(path.read_text())
    path.write_text(json.dumps(change(document)))


def without(key):
    return lambda document: {name: value for name, value in document.items() if name != key}


def said(folder, capsys):
    """What the command answers: its exit code, and its problems."""
    code = main(["report", "verify", str(folder), "--json"])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, json.loads(out).get("problems", [])


TEXTS = {"brackets": DEEP, "a list": "[]", "a number": "5", "null": "null", "nothing": "", "half": '{"a"', "a long number": LONG,
         "twice": '{"a": 1, "a": 2}', "no UTF-8": b"\xff\xfe{}", "an empty mapping": "{}"}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("whole", [True, False], ids=["the run", "a copied report"])
def test_a_report_json_that_is_none_is_a_mismatch(run, tmp_path, capsys, text, whole):
    folder = run if whole else shutil.copytree(run / "report", tmp_path / "copied")
    path = (run / "report" if whole else folder) / "report.json"
    path.write_bytes(TEXTS[text] if isinstance(TEXTS[text], bytes) else TEXTS[text].encode())
    code, problems = said(folder, capsys)
    assert code == 1
    assert any("report.json" in line or line.startswith("report: ") for line in problems)


SHAPES = {
    "cases of numbers": lambda found: {**found, "cases": [1, 2]}, "a training of null": lambda found: {**found, "training": [None]},
    "data of a list": lambda found: {**found, "data": []}, "a summary of text": lambda found: {**found, "summary": "fine"},
    "an edition of text": lambda found: {**found, "edition": "two"}, "an edition of a list": lambda found: {**found, "edition": [1]},
    "no study": without("study"), "no selection": without("selection"), "a study of null": lambda found: {**found, "study": None},
    "a sign-off of text": lambda found: {**found, "signoff": "yes"}, "a selection without arms": lambda found: {**found, "selection": {}},
    "a headline of a number": lambda found: {**found, "headline": 5}, "an id of a mapping": lambda found: {**found, "report_id": {}},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("whole", [True, False], ids=["the run", "a copied report"])
def test_a_report_json_of_another_shape_is_a_mismatch(run, tmp_path, capsys, shape, whole):
    folder = run if whole else shutil.copytree(run / "report", tmp_path / "copied")
    changed((run / "report" if whole else folder) / "report.json", SHAPES[shape])
    code, problems = said(folder, capsys)
    assert code == 1
    assert problems


CELLS = {
    "a word for a number": ("0.", "zero."), "a cell too many": ("\n", ",1,2\n"), "a line cut short": ("us-1-0,patient-001,prostate,ok,", "us-1-0\n"),
    "a seed that is none": (",0,us", ",first,us"), "NaN": ("0.", "nan0."), "no line ends": ("\n", " "), "another separator": (",", ";"),
    "a field without end": ("us-0-0", '"us-0-0'),
}  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_a_table_with_bad_cells_is_a_mismatch(run, tmp_path, capsys, cell):
    folder = shutil.copytree(run / "report", tmp_path / "copied")
    path = folder / "cases.csv"
    path.write_text(path.read_text().replace(*CELLS[cell]))
    code, problems = said(folder, capsys)
    assert code == 1
    assert any("cases.csv" in line for line in problems)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe\x00", b"\0" * 500, b'"' + b"a" * 300_000],
    ids=["nothing", "no text", "zeros", "a long field"],
)
def test_a_table_that_is_none_is_a_mismatch(run, tmp_path, capsys, data):
    folder = shutil.copytree(run / "report", tmp_path / "copied")
    (folder / "cases.csv").write_bytes(data)
    code, problems = said(folder, capsys)
    assert code == 1
    assert any("cases.csv" in line for line in problems)


@pytest.mark.parametrize(
    "text",
    [DEEP, "[]", "5", '{"rows": 1}', "[1, 2]", "[null]", "[{}]", "{", '[{"arm": {}}]'],
    ids=lambda text: text[:12],
)
@pytest.mark.parametrize("name", ["rows", "protocol", "data", "metrics", "study", "selection", "environment", "errors", "reference",
                                  "arms/adapted/seed0/train"])  # fmt: skip
def test_a_document_of_the_run_of_another_shape_is_a_mismatch(run, capsys, name, text):
    (run / f"{name}.json").write_text(text)
    code, problems = said(run, capsys)
    assert code == 1
    assert problems


@pytest.mark.parametrize("name", ["external", "text", "ratings", "prior", "robustness", "monitor", "objects", "sbom"])
@pytest.mark.parametrize("text", [DEEP, "[1]", "5", '{"cases": [1]}'], ids=lambda text: text[:12])
def test_a_document_that_was_added_is_a_mismatch(run, capsys, name, text):
    (run / f"{name}.json").write_text(text)
    code, problems = said(run, capsys)
    assert code == 1
    assert problems


@pytest.mark.parametrize("harm", ["cut", "empty", "text", "turned", "pickled", "one array gone"])
def test_predictions_that_are_damaged_are_a_mismatch(run, capsys, harm):
    path = run / "arms" / "adapted" / "seed0" / "labels.npz"
    data = bytearray(path.read_bytes())
    if harm == "turned":
        at = len(data) // 3
        data[at : at + 40] = bytes(40)
    path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "text": b"text", "turned": data}.get(harm, data))
    if harm == "pickled":
        np.savez(path, **{"case.us-0-0": np.array([{}], dtype=object)})
    if harm == "one array gone":
        np.savez(path, **{"case.us-0-0": np.zeros((4, 4, 4), np.uint8)})
    code, problems = said(run, capsys)
    assert code == 1
    assert any("labels.npz" in line or "adapted, seed 0" in line for line in problems)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"\0" * 99, b"one line"], ids=["nothing", "no text", "zeros", "a line"]
)
@pytest.mark.parametrize("name", ["MANIFEST.sha256", "report.html", "protocol.json", "SIGNOFF.json"])
def test_files_of_the_report_that_are_damaged_are_a_mismatch(run, capsys, name, data):
    (run / "report" / name).write_bytes(data)
    code, problems = said(run, capsys)
    assert code == 1
    assert problems


@pytest.mark.parametrize("name", ["rows", "data", "protocol", "selection", "arms/adapted/seed0/train"])
@pytest.mark.parametrize("text", [DEEP, "5", "[1]", "{"], ids=lambda text: text[:12])
def test_a_report_is_not_built_of_damaged_documents(run, name, text):
    from xmed.run import Run

    (run / f"{name}.json").write_text(text)
    with pytest.raises(XmedError) as caught:
        report.write_report(Run(run))
    assert caught.value.code in ("DOCUMENT_INVALID", "REPORT_MISMATCH", "PATH_NOT_FOUND")


def test_a_sound_run_and_its_copied_report_verify(run, tmp_path, capsys):
    copied = shutil.copytree(run / "report", tmp_path / "copied")
    assert said(run, capsys) == (0, [])
    assert said(copied, capsys) == (0, [])


@pytest.mark.parametrize("missing", ["report.json", "protocol.json", "cases.csv"])
def test_a_folder_without_a_report_is_wrong_input(run, tmp_path, missing):
    copied = shutil.copytree(run / "report", tmp_path / "copied")
    (copied / missing).unlink()
    assert main(["report", "verify", str(copied)]) == 2
