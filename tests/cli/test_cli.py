"""Every command keeps its manners: help at once, one JSON document, one line for an error, the promised exit code."""

import json
import os
import re
import sys
import types

import pytest
from ruamel.yaml import YAML

from support.checkout import ROOT
from support.evaluated_runs import written
from support.small_reports import report_with, small_document
from xmed.cli import command, flows
from xmed.cli.main import main
from xmed.console.progress_display import progress, report
from xmed.errors import CODES, XmedError
from xmed.spec import DatasetSpec, Study

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))]
COMMANDS = [
    "demo", "inspect", "ingest", "run", "compare", "predict", "validate", "drift", "methods", "models", "schema", "doctor",
    "schedule", "serve",
]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path):
    """An empty home; the environment, which a command prepares for its process, is put back."""
    before = dict(os.environ)
    os.environ["XMED_HOME"] = str(tmp_path / "home")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    yield tmp_path / "home"
    os.environ.clear()
    os.environ.update(before)


def answer(monkeypatch, work):
    """Run `xmed methods` with its insides replaced by `work`."""
    monkeypatch.setattr("xmed.methods.names", work)


def fake_io(monkeypatch, **functions):
    monkeypatch.setitem(sys.modules, "xmed.io", types.SimpleNamespace(**functions))


def test_the_promised_commands_are_there(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_takes_json_and_debug(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--json" in text
    assert "--debug" in text


@pytest.mark.parametrize("name", ["build", "verify"])
def test_reports_are_built_and_verified_by_commands_of_their_own(name, capsys):
    assert main(["report", name, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_verifying_a_report_is_exit_1_on_any_mismatch(tmp_path, capsys):
    run = written(tmp_path / "toy", seeds=(0,), names=("prostate",))
    assert main(["report", "build", str(run.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"
    assert main(["report", "verify", str(run.folder)]) == 0
    assert "every hash and every number was made again" in capsys.readouterr().out
    path = run.report / "report.json"
    path.write_text(path.read_text().replace('"verdict": "pass"', '"verdict": "fail"'))
    assert main(["report", "verify", str(run.folder), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert any(line.startswith("report.verdict") for line in found["problems"])
    assert main(["report", "verify", str(tmp_path)]) == 2


def test_without_arguments_the_help_is_shown(capsys):
    assert main([]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fly"], "error[USAGE]: found No such command 'fly'. · expected what `xmed --help` says"),
        (["run"], "error[USAGE]: found Missing argument 'study'. · expected what `xmed run --help` says"),
        (
            ["run", "x", "--epochs", "3"],
            "error[USAGE]: found No such option: --epochs · expected what `xmed run --help` says",
        ),
        (
            ["run", "x", "--seeds", "a"],
            "error[USAGE]: found --seeds a · expected whole numbers with commas between, such as 0,1,2",
        ),
        (
            ["inspect", "no/such/file"],
            "error[PATH_NOT_FOUND]: found no file or folder no/such/file · expected a path that exists",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_2(arguments, line, capsys, place):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", line + "\n")
    assert not place.exists()


def test_a_study_that_is_not_there_is_one_line_and_nothing_is_written(capsys, place):
    assert main(["run", "no-such-study"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error[SPEC_NOT_FOUND]: found no study 'no-such-study' · ")
    assert error.count("\n") == 1
    assert not place.exists()


def test_with_json_an_error_is_a_document_too(capsys):
    assert main(["run", "no-such-study", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "SPEC_NOT_FOUND"
    assert main(["fly", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "USAGE"


def test_an_internal_fault_is_exit_3_with_the_log_and_no_traceback(monkeypatch, capsys, place):
    def broken():
        raise ZeroDivisionError("of all things")

    answer(monkeypatch, broken)
    assert main(["methods"]) == 3
    error = capsys.readouterr().err
    (log,) = (place / "logs").iterdir()
    assert error == f"error[FAULT]: ZeroDivisionError: of all things · log {log}\n"
    assert "Traceback" in log.read_text()
    assert main(["methods", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_full_disk_is_something_a_person_can_act_on(monkeypatch, capsys):
    def full():
        raise OSError(28, "No space left on device")

    answer(monkeypatch, full)
    assert main(["methods"]) == 2
    assert capsys.readouterr().err.startswith("error[DISK_FULL]: ")


def test_a_library_that_prints_does_not_spoil_the_document(monkeypatch, capsys):
    def chatty():
        print("hello from below")  # noqa: T201
        return []

    answer(monkeypatch, chatty)
    assert main(["methods", "--json"]) == 0
    captured = capsys.readouterr()
    assert [row for row in json.loads(captured.out) if row["kind"] == "method"] == []
    assert "hello from below" in captured.err


def test_a_home_that_cannot_be_written_is_said_at_once(tmp_path, monkeypatch):
    from xmed.server import process_environment

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(XmedError, match=r"error\[NOT_WRITABLE\]"):
        process_environment.open_home()


def test_telemetry_is_off_and_pickles_are_refused():
    from xmed.server import process_environment

    process_environment.prepare_environment()
    wanted = {"DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    wanted["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    assert {name: os.environ[name] for name in wanted} == wanted


def test_what_is_set_already_wins_over_the_embedded_defaults(monkeypatch):
    from xmed.server import process_environment

    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    process_environment.prepare_environment()
    assert os.environ["PREFECT_HOME"] == "/elsewhere"


def test_methods_are_listed_with_their_citation(capsys):
    assert main(["methods", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"bridge", "gin", "source_only"} <= {row["name"] for row in rows}
    assert all(row["cite"] and row["does"] for row in rows)
    assert main(["methods"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line and not line.endswith(":")]
    assert [line.split()[0] for line in lines] == [row["name"] for row in rows]
    assert {"auto", "ensemble", "trivial_threshold", "trivial_position"} <= {row["name"] for row in rows}


@pytest.mark.parametrize(("name", "key"), [("DatasetSpec", "layout"), ("Study", "protocol")])
def test_the_schema_is_the_one_specs_are_read_with(name, key, capsys):
    assert main(["schema", name, "--json"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert key in schema["required"]
    assert schema["additionalProperties"] is False


def test_without_models_there_is_an_empty_list_and_no_database(capsys, place):
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert not place.exists()


def test_inspect_shows_each_finding_and_what_to_do_about_it(monkeypatch, tmp_path, capsys):
    from xmed.io import Finding
    from xmed.io.notes import Note

    note = Note("PADDING", "2.0% of the pixels are padding")
    found = [
        Finding(tmp_path / "a", "series", "ok", 7, "MR", "0f", None, (12, 9, 7), (0.7, 1.3, 3.1), notes=(note,)),
        Finding(tmp_path / "b", "series", "refused", code="SLICE_GAP", message="no slice at 3 mm", do="fetch it"),
        Finding(tmp_path / "c.txt", "other", "skipped", code="NOT_DICOM", message="no file that xmed reads"),
    ]
    fake_io(monkeypatch, inspect=lambda path: found)
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["code"] for row in rows] == [None, "SLICE_GAP", "NOT_DICOM"]
    assert (rows[0]["notes"][0]["code"], rows[1]["do"]) == ("PADDING", "fetch it")
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["inspect", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for words in (
        "12 × 9 × 7",
        "0.7 × 1.3 × 3.1",
        "SLICE_GAP b\n  no slice at 3 mm → fetch it",
        "a: 2.0% of the pixels are padding",
        "passed over: 1 × no file that xmed reads",
        "1 good, 1 refused, 1 passed over",
    ):
        assert words in shown


def test_progress_is_a_line_per_tenth_without_a_terminal(capsys):
    from rich.console import Console

    with progress(Console(stderr=True)):
        for done in range(1, 101):
            report("train adapted seed 0", done, 100, "loss 0.3")
    report("train adapted seed 0", 1, 100, "nobody is looking")
    lines = capsys.readouterr().err.splitlines()
    assert 10 <= len(lines) <= 12
    assert lines[-1].endswith("train adapted seed 0 100/100 · loss 0.3")


def test_a_report_is_shown_with_its_intervals_and_both_headline_numbers(capsys):
    from rich.console import Console

    from xmed.console.tables import show_result
    from xmed.records.answers import AdaptedRun

    dice = {"dice": {"mean": 0.81234, "ci": [0.7, 0.9], "n": 3, "n_failed": 0}}
    summary = {"source_only": {"prostate": {"dice": {"mean": None, "reason": "n = 0"}}}, "adapted": {"prostate": dice}}
    summary |= {"gap_closed": {"prostate": 0.91}, "gain_over_trivial": {"prostate": None}}
    registered = {"name": "m", "version": 2, "alias": "candidate"}
    result = AdaptedRun.model_validate(
        {"run": "r", "folder": "f", "report": "/x/report.html", "registered": registered}
    )
    show_result(Console(width=100), result, report_with(summary=summary))
    text = capsys.readouterr().out
    for piece in ("0.812 (0.70–0.90)", "–", "0.91", "m version 2, alias candidate", "/x/report.html"):
        assert piece in text


def test_a_model_that_is_not_promoted_is_shown_with_the_reason(capsys):
    from rich.console import Console

    from xmed.console.tables import show_result
    from xmed.records.answers import AdaptedRun

    registered = {"name": "m", "version": 2, "alias": None, "not_promoted": "source-only is as good"}
    summary = {"gap_closed": {}, "gain_over_trivial": {}}
    result = AdaptedRun.model_validate(
        {"run": "r", "folder": "f", "report": "/x/report.html", "registered": registered}
    )
    show_result(Console(width=100), result, report_with(summary=summary))
    text = capsys.readouterr().out
    assert "m version 2, not as candidate" in text
    assert "selection   source-only is as good" in text


def test_every_code_that_this_room_raises_is_documented():
    assert {"USAGE", "OUTPUT_EXISTS", "DATA_CHANGED", "NOT_WRITABLE", "DISK_FULL"} <= set(CODES)


def test_a_verdict_of_fail_is_exit_1(monkeypatch, tmp_path):
    import xmed.app.plan
    from xmed.records.answers import AdaptedRun

    made = {"folder": str(tmp_path), "run": "r", "report": "p", "registered": {"name": "m", "version": 1}}
    monkeypatch.setattr(xmed.app.plan, "plan_study", lambda *_: None)
    monkeypatch.setattr(flows, "load_adapt_flow", lambda: lambda *_: AdaptedRun.model_validate(made))
    (tmp_path / "report").mkdir()
    for verdict, code in (("pass", 0), ("inconclusive", 0), ("fail", 1)):
        (tmp_path / "report" / "report.json").write_text(json.dumps(small_document(verdict=verdict)))
        assert main(["run", "toy", "--json"]) == code


def test_interrupting_is_not_a_fault(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    answer(monkeypatch, interrupted)
    assert main(["methods"]) == command.INTERRUPTED
    assert "the same command goes on" in capsys.readouterr().err


def blocks(language, pages=(README,)):
    """The code blocks of one language, in the README or in other pages."""
    return [text.split("```")[0] for page in pages for text in page.split(f"```{language}\n")[1:]]


def test_the_specs_in_the_readme_are_valid():
    documents = [YAML(typ="safe").load(text) for text in blocks("yaml")]
    dataset, study = DatasetSpec.model_validate(documents[0]), Study.model_validate(documents[1])
    assert study.target == dataset.name


def test_every_command_in_the_readme_and_the_docs_is_one(capsys):
    lines = [line for text in blocks("sh", PAGES) for line in text.splitlines() if line.startswith("xmed ")]
    assert len(lines) >= 6
    for line in lines:
        _, name, *words = line.split("#")[0].split()
        group = [name, words[0]] if name in ("report", "audit") else [name]  # commands that have commands
        assert main([*group, "--help"]) == 0
        help_ = capsys.readouterr().out
        assert all(word in help_ for word in words if word.startswith("-")), line


def test_every_page_and_folder_that_the_readme_links_to_is_there():
    targets = re.findall(r"\]\(([\w./-]+)\)", README)
    assert "docs/data.md" in targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_an_interruption_stays_one_when_prefect_stumbles_over_it(monkeypatch):
    def stumble():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ConnectionError("the server is gone")  # noqa: B904

    answer(monkeypatch, stumble)
    assert main(["methods"]) == command.INTERRUPTED
