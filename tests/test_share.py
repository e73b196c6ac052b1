"""What is published in a shared store is read back as it was, from a server that speaks S3 and from a file system."""

import json
import os
from pathlib import Path

import fsspec
import pytest
from registered import finished

from xmed.app import published_runs
from xmed.cli.main import main
from xmed.errors import XmedError
from xmed.run import Run

KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3():
    """The URL of a bucket of a server that answers over HTTP."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("hospital")
        yield "s3://hospital"
    server.stop()


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.services)])
def url(request, tmp_path):
    """An empty place in a shared store: another folder, a bucket."""
    if request.param == "file":
        return (tmp_path / "mounted").as_uri()
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


@pytest.fixture
def run(home):
    run = finished(home)
    (run.arm("adapted", 0) / "checkpoint-00000002-00.pt").write_bytes(b"of an interrupted training")
    return run


def contents(folder: Path):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_comes_back_as_it_was_and_nothing_is_sent_twice(run, url, tmp_path):
    sent = published_runs.publish(run, url)
    assert sent["copied"] == sent["files"]
    back = published_runs.fetch(sent["url"], tmp_path / "other-home")
    expected = contents(run.folder)
    del expected["arms/adapted/seed0/checkpoint-00000002-00.pt"]
    assert contents(back.folder) == expected
    assert back.study == run.study
    again = published_runs.publish(run, url)
    assert (again["copied"], again["sha256"]) == (0, sent["sha256"])
    (run.report / "report.html").write_text("<!doctype html><title>built again</title>")
    assert published_runs.publish(run, url)["copied"] == 1
    assert published_runs.fetch(sent["url"], tmp_path / "other-home").folder != back.folder


def test_what_was_fetched_is_not_fetched_again(run, url, tmp_path):
    place = published_runs.publish(run, url)["url"]
    notes = []
    first = published_runs.fetch(place, tmp_path / "other-home", lambda *note: notes.append(note))
    assert notes
    notes.clear()
    assert published_runs.fetch(place, tmp_path / "other-home", lambda *note: notes.append(note)) == first
    assert not notes


def test_a_file_that_was_changed_there_is_refused_and_leaves_nothing(run, url, tmp_path):
    place = published_runs.publish(run, url)["url"]
    store, root = fsspec.url_to_fs(place)
    store.pipe_file(f"{root}/arms/adapted/seed0/model/weights.safetensors", b"other weights")
    with pytest.raises(XmedError, match=r"error\[FETCH_MISMATCH\]: .*weights.safetensors is not the file that was pub"):
        published_runs.fetch(place, tmp_path / "other-home")
    assert not contents(tmp_path / "other-home")


def test_a_copy_that_was_cut_short_is_none(run, url, tmp_path):
    place = published_runs.publish(run, url)["url"]
    store, root = fsspec.url_to_fs(place)
    store.rm_file(f"{root}/{published_runs.MANIFEST}")
    store.invalidate_cache()
    with pytest.raises(XmedError, match=r"error\[SHARE_FAILED\]: .*FileNotFoundError"):
        published_runs.fetch(place, tmp_path / "other-home")


def test_a_manifest_cannot_name_a_file_elsewhere(run, tmp_path):
    place = Path(published_runs.publish(run, (tmp_path / "mounted").as_uri())["url"].removeprefix("file://"))
    document = json.loads((place / published_runs.MANIFEST).read_text())
    document["files"] = {"../../escaped": next(iter(document["files"].values()))}
    (place / published_runs.MANIFEST).write_text(json.dumps(document))
    with pytest.raises(XmedError, match=r"error\[PATH_UNSAFE\]"):
        published_runs.fetch(place.as_uri(), tmp_path / "other-home")


def test_a_run_without_a_report_is_not_published(run, tmp_path):
    (run.report / "report.json").unlink()
    with pytest.raises(XmedError, match=r"error\[USAGE\]: run \S+ has no report yet"):
        published_runs.publish(run, (tmp_path / "mounted").as_uri())


def test_nothing_that_fsspec_knows_is_one_line(run):
    with pytest.raises(XmedError, match=r"error\[SHARE_FAILED\]: nosuch://x/\S+: ValueError: Protocol not known"):
        published_runs.publish(run, "nosuch://x")


def test_publish_is_a_command_and_a_url_stands_for_the_run(run, url, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("XMED_HOME", str(run.folder.parent.parent))
    assert main(["publish", run.id, url, "--json"]) == 0
    place = json.loads(capsys.readouterr().out)["url"]
    from xmed.app.published_runs import folder_at, model_at

    home = run.folder.parent.parent
    assert Run(folder_at(place, home)).id == run.id
    assert (Path(model_at(place, home)) / "weights.safetensors").is_file()
    assert model_at("models:/toy-prostate-us@candidate", home) == "models:/toy-prostate-us@candidate"
