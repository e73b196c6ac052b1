"""B6: what only reads a few lines of text loads neither torch nor a registry nor Prefect."""

import ast
import subprocess
import sys

import pytest

from support.source_tree import TREES, imported
from support.untrusted_inputs import DATASET, ROOT, STUDY

HEAVY = (
    "torch",
    "monai",
    "mlflow",
    "prefect",
    "scipy",
    "skimage",
    "SimpleITK",
    "pydicom",
    "highdicom",
    "nibabel",
    "distributed",
    "matplotlib",
    "pandas",
)
RUNNER = (
    "import sys\nfrom xmed.cli.main import main\ncode = main(sys.argv[1:])\n"
    f"print('LOADED', code, *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
)
COMMANDS = {
    "help": (["--help"], 0),
    "nothing": ([], 0),
    "version": (["--version"], 0),
    "methods": (["methods"], 0),
    "methods as JSON": (["methods", "--json"], 0),
    "the schema of a dataset": (["schema"], 0),
    "the schema of a study": (["schema", "Study", "--json"], 0),
    "help of run": (["run", "--help"], 0),
    "help of report": (["report", "--help"], 0),
    "help of predict": (["predict", "--help"], 0),
    "a misspelled command": (["rnu"], 2),
    "a misspelled option": (["run", "x", "--sedes", "1"], 2),
    "a study that is not there": (["run", "no-such-study"], 2),
    "a study with a typo": (["run", "{folder}/trial.yaml"], 2),
    "a study with an unknown method": (["run", "{folder}/other.yaml"], 2),
    "a comparison with an unknown method": (["compare", "{folder}/good.yaml", "--methods", "brigde"], 2),
    "a dataset with a typo": (["ingest", "{folder}/broken.yaml"], 2),
    "a dataset that is not there": (["ingest", "no-such-dataset"], 2),
    "models where there is no registry": (["models"], 0),
    "the log of a home without one": (["audit", "show"], 0),
    "a path that is not there": (["inspect", "/no/such/place"], 2),
    "a run that is not there": (["report", "build", "no-such-run"], 2),
    "a report that is not there": (["report", "verify", "{folder}"], 2),
    "drift of a dataset that is not there": (["drift", "models:/a/1", "no-such-dataset"], 2),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("light")
    (made / "data").mkdir()
    (made / "clinic.yaml").write_text(DATASET.replace("/nowhere", str(made / "data")))
    (made / "broken.yaml").write_text(DATASET.replace("modality", "modalty"))
    (made / "trial.yaml").write_text(
        STUDY.replace("budget", "bugdet").replace("seeds", "sedes") + "bugdet: {steps: 3}\n"
    )
    study = STUDY.replace("clinic", str(made / "clinic.yaml"))
    (made / "other.yaml").write_text(study.replace("name: trial", "name: other").replace("bridge", "brigde"))
    (made / "good.yaml").write_text(study.replace("name: trial", "name: good"))
    return made


@pytest.mark.parametrize("said", COMMANDS)
def test_light_work_loads_nothing_heavy(folder, tmp_path, said, monkeypatch):
    words, code = COMMANDS[said]
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    words = [word.format(folder=folder) for word in words]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *words], check=False, capture_output=True, cwd=ROOT, timeout=120
    )
    loaded = [line for line in done.stderr.decode().splitlines() if line.startswith("LOADED")]
    if said == "version":
        assert b"xmed" in done.stdout
    assert loaded == [f"LOADED {code}"], done.stderr.decode()[-500:]


def test_a_command_that_reads_no_document_builds_no_record(tmp_path, monkeypatch):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    script = (
        "import sys\nfrom xmed.cli.main import main\nmain(['methods'])\nassert 'xmed.records.record' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=ROOT, timeout=120)


def test_the_facts_of_every_method_are_those_of_its_class():
    import inspect

    from xmed import methods
    from xmed.spec import MethodSpec

    for name in methods.names():
        kind = methods.find(name)
        parameters = list(inspect.signature(kind.__init__).parameters)[3:]
        assert list(methods.hyperparameters(name)) == parameters
        assert methods.needs(MethodSpec(name=name)) == ([kind.schedule.start] if kind.schedule.start else [])


def sandboxed():
    """Modules of the functions that a reader runs: the first argument of each call of `run_in_sandbox`."""
    names_of_modules = set()
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "run_in_sandbox":
                function = getattr(node.args[0], "id", "")
                names_of_modules.add(imported(module).get(function, (module, ""))[0])
    return sorted(names_of_modules)


def test_a_reader_loads_no_torch():
    """Each reader is a process of its own, which begins several times in a run."""
    found = sandboxed()
    assert {"xmed.cohort.case_inputs", "xmed.deidentify.nameless_objects"} <= set(found)
    script = f"import sys, {', '.join(found)}\nprint('torch' in sys.modules, 'mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
