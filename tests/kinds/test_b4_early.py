"""B4: what would fail at the end is said before anything is read, and to say so cannot fail itself."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from support import tiny_study
from xmed.cli.main import main


@pytest.fixture(autouse=True)
def environment():
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "PREFECT_", "XMED_"))]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@contextlib.contextmanager
def answering(version, status=200):
    """A server that says of itself that it is this MLflow."""

    class Says(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = version.encode() if self.path.endswith("/version") else b"OK"
            self.send_response(status if self.path.endswith("/version") else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Says)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def refused(home, study, capfd, *words, within=60):
    """The one line that a run was refused with, before anything was read."""
    os.environ["XMED_HOME"] = str(home)
    began = time.monotonic()
    code = main(list(words) or ["run", str(study)])
    err = capfd.readouterr().err
    assert code == 2, err[-2000:]
    assert time.monotonic() - began < within
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3
    assert not (home / "store").exists()
    assert not list((home / "runs").glob("*")) if home.is_dir() else True
    return err


@pytest.fixture
def study(tmp_path):
    return tiny_study.write(tmp_path / "specs", tmp_path / "data")


@pytest.mark.parametrize(
    "version", ["2.22.0", "1.30.1", "3.1.4", "2.0", "<!doctype html><title>Some other server</title>"]
)
def test_a_tracking_server_that_is_too_old_is_refused_at_once(version, tmp_path, study, capfd):
    with answering(version) as url:
        os.environ["MLFLOW_TRACKING_URI"] = url
        said = refused(tmp_path / "home", study, capfd)
    assert "MLflow" in said
    assert "REGISTRY_UNREACHABLE" in said


@pytest.mark.parametrize("command", ["run", "compare", "demo"])
def test_every_command_that_trains_looks_first(command, tmp_path, study, capfd):
    words = {"run": ["run", str(study)], "compare": ["compare", str(study), "--methods", "gin"], "demo": ["demo"]}
    with answering("2.22.0") as url:
        os.environ["MLFLOW_TRACKING_URI"] = url
        assert "2.22.0" in refused(tmp_path / "home", study, capfd, *words[command])


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_tracking_server_that_does_not_let_us_in_is_refused_at_once(status, tmp_path, study, capfd):
    with answering("no", status) as url:
        os.environ["MLFLOW_TRACKING_URI"] = url
        assert str(status) in refused(tmp_path / "home", study, capfd)


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_a_server_that_is_not_there_is_said_at_once(variable, tmp_path, study, capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    os.environ[variable] = f"http://user:secret@127.0.0.1:{port}/api"
    said = refused(tmp_path / "home", study, capfd)
    assert "secret" not in said
    assert str(port) in said


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False, capture_output=True
    ).returncode:
        pytest.skip("no right to mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("command", ["run", "demo", "schedule"])
def test_a_disk_without_room_is_said_in_one_line(command, full, tmp_path, study, small_disk, capfd):
    if full:
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb") as file:
            file.write(b"\0" * (2 << 20))
    words = {
        "run": ["run", str(study)],
        "demo": ["demo"],
        "schedule": ["schedule", "phantom-mr-to-us", "--cron", "0 2 * * *"],
    }
    said = refused(small_disk / "home", study, capfd, *words[command])
    assert "DISK_FULL" in said


@pytest.mark.parametrize("kind", ["file", "below-a-file", "proc"])
def test_a_home_that_cannot_be_is_said_in_one_line(kind, tmp_path, study, capfd):
    (tmp_path / "file").write_text("x")
    home = {"file": tmp_path / "file", "below-a-file": tmp_path / "file" / "home"}.get(kind)
    os.environ["XMED_HOME"] = str(home or "/proc/xmed")
    assert main(["run", str(study)]) == 2
    err = capfd.readouterr().err
    assert "NOT_WRITABLE" in err
    assert "Traceback" not in err


FAULT = """
import sys
from xmed.cli.command import answer
def fail():
    raise RuntimeError("it broke: Größe")
{before}
sys.exit(answer(fail, {as_json}, False))
"""


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("kind", ["logs-is-a-file", "home-is-a-file", "home-is-full"])
def test_a_fault_is_told_though_its_log_cannot_be_written(kind, as_json, tmp_path, request):
    home = tmp_path / "home"
    if kind == "home-is-full":
        home = request.getfixturevalue("small_disk")
        with contextlib.suppress(OSError), (home / "filler").open("wb") as file:
            file.write(b"\0" * (2 << 20))
    elif kind == "logs-is-a-file":
        home.mkdir()
        (home / "logs").write_text("x")
    else:
        home.write_text("x")
    done = subprocess.run(
        [sys.executable, "-c", FAULT.format(before="", as_json=as_json)],
        env=tiny_study.surroundings(home, TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if as_json:
        assert json.loads(done.stdout)["error"]["code"] == "FAULT"


def shell(line, home, **more):
    return subprocess.run(
        ["bash", "-c", line.replace("XMED", f"{sys.executable} -m xmed.cli.main")],
        env=tiny_study.surroundings(home, **more),
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("XMED inspect /nowhere 2>&-", 2),
        ("XMED inspect /nowhere >&- 2>&-", 2),
        ("XMED inspect /nowhere <&- >&- 2>&-", 2),
        ("XMED inspect /nowhere 2>/dev/full", 2),
        ("XMED schema >/dev/full", 2),
        ("XMED schema --json >/dev/full", 2),
    ],
)
def test_nobody_listens_and_the_exit_code_says_it(line, code, tmp_path):
    done = shell(line, tmp_path / "home")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_knows_few_characters_gets_an_answer(encoding, tmp_path):
    (tmp_path / "患者").mkdir()
    done = shell(f"XMED inspect '{tmp_path}/患者'; XMED methods", tmp_path / "home", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
