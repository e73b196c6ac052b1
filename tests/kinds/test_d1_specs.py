"""D1: whatever stands in a spec, only a coded refusal leaves; numbers in it are finite and bounded."""

import json

import pytest

from support.untrusted_inputs import DATASET, STUDY, answer
from xmed.report.author_text import read_text
from xmed.report.ratings import read_ratings
from xmed.spec import load_dataset, load_protocol, load_study

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi")
)
DIGITS = "9" * 5000
TEXTS = {
    "flow sequences in one another": "a: " + "[" * 100_000,
    "flow sequences, closed": "a: " + "[" * 20_000 + "]" * 20_000,
    "flow mappings in one another": "{a: " * 50_000,
    "blocks in one another": "".join(" " * n + "a:\n" for n in range(3000)),
    "dashes in one another": "a:\n" + "- " * 50_000 + "x",
    "aliases that multiply": BOMB,
    "an alias within its own anchor": "a: &a [*a]\n",
    "a merge with itself": "a: &a {<<: *a}\n",
    "an object of Python": "a: !!python/object/apply:os.system [true]\n",
    "a tag of its own": "a: !thing {b: c}\n",
    "a whole number of 5,000 digits": DATASET + f"window: [0, {DIGITS}]\n",
    "a whole number of 5,000 digits as a key": DATASET.replace("{1:", "{" + DIGITS + ":"),
    "a list as a key": "? [a, b]\n: c\n",
    "two documents": DATASET + "---\n" + DATASET,
    "a key twice": DATASET + "name: clinic\n",
    "a NUL": DATASET.replace("/nowhere", '"/now\\0here"'),
    "an escape sequence": DATASET.replace("/nowhere", '"/now\\e[31mhere"'),
    "half a surrogate pair": DATASET.replace("/nowhere", '"/now\\ud800here"'),
    "a tab for an indent": "a:\n\tb: c\n",
    "no mapping": "5\n",
    "binary": "a: !!binary R0lGODlhDAAMAIQA\n",
    "a set": "a: !!set {b, c}\n",
    "only comments": "# nothing\n",
}


@pytest.mark.parametrize("said", TEXTS)
@pytest.mark.parametrize("load", [load_dataset, load_study, load_protocol, read_text], ids=lambda load: load.__name__)
def test_a_yaml_that_is_no_spec_is_refused(tmp_path, said, load):
    path = tmp_path / "clinic.yaml"
    path.write_bytes(TEXTS[said].encode("utf-8", "surrogatepass"))
    assert answer(load, path) == "SPEC_INVALID"


@pytest.mark.parametrize(
    ("said", "data"),
    [
        ("UTF-16", DATASET.encode("utf-16")),
        ("Latin-1", DATASET.replace("/nowhere", "/Prüfung").encode("latin-1")),
        ("zeros", bytes(1000)),
        ("eighty megabytes", DATASET.encode() + b"# " + b"x" * (80 << 20)),
        ("a gzip stream", b"\x1f\x8b\x08\0\0\0\0\0\0\3"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bytes_that_are_no_text_are_refused(tmp_path, said, data):
    path = tmp_path / "clinic.yaml"
    path.write_bytes(data)
    assert answer(load_dataset, path) == "SPEC_INVALID"


def test_a_pipe_in_the_place_of_a_spec_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / "clinic.yaml")
    assert answer(load_dataset, tmp_path / "clinic.yaml") in ("SPEC_NOT_FOUND", "PATH_UNSAFE")


def test_a_folder_in_the_place_of_a_spec_is_refused(tmp_path):
    (tmp_path / "clinic.yaml").mkdir()
    assert answer(load_dataset, tmp_path / "clinic.yaml") in ("SPEC_NOT_FOUND", "PATH_UNSAFE")


@pytest.mark.parametrize(
    "change",
    [
        "window: [.nan, 1]", "window: [0, .inf]", "window: [5, 5]", "window: [9, 1]",
        "labels: {4294967296: {name: ball}}", "labels: {1: {name: ball}, 1.5: {name: box}}",
        "splits: {fraction: {train: .nan, test: 1}}", "splits: {fraction: {train: .inf, test: 1}}",
        "splits: {fraction: {train: 0.5, test: 0.5}, seed: -1}",
        "splits: {fraction: {train: 0.5, test: 0.5}, seed: 340282366920938463463374607431768211456}",
        "phantom: {modality: MR, patients: 1000000000000}", "phantom: {modality: MR, patients: 2, seed: -3}",
        "maps: {scene: womb, patients: 99999999999999999999}",
        "layout: {image: '{case}.nii', image_channel: 100000000000000000000}",
        "layout: {image: '', label: ''}", "name: [clinic]", "root: 5", "splits: 7", "layout: 2024-13-45", "files: 5",
        "pacs: {server: 'dimse://A@h:99999999999/B', query: {Modality: MR}}",
        "pacs: {server: 'https://[::1', query: {Modality: MR}}",
        "files: [{url: 'https://[::1/x', sha256: " + "a" * 64 + "}]",
    ],
)  # fmt: skip
def test_a_number_or_shape_that_no_dataset_has_is_refused(tmp_path, change):
    key = change.partition(":")[0]
    lines = [line for line in DATASET.splitlines() if not line.startswith(f"{key}:")]
    (tmp_path / "clinic.yaml").write_text("\n".join([*lines, change, ""]))
    assert answer(load_dataset, tmp_path / "clinic.yaml") == "SPEC_INVALID"


@pytest.mark.parametrize(
    "change",
    [
        "grid: {spacing_mm: [1, 1, 1], patch: [1048576, 1048576, 1]}",
        "grid: {spacing_mm: [1, 1, 1], patch: [16384, 16384, 4096]}",
        "grid: {spacing_mm: [1.0e-12, 1, 1], patch: [32, 32, 1]}",
        "grid: {spacing_mm: [.inf, 1, 1], patch: [32, 32, 1]}", "grid: {spacing_mm: [.nan, 1, 1], patch: [32, 32, 1]}",
        "grid: {fit: [1000000, 1000000, 1], patch: [32, 32, 1]}",
        "grid: {spacing_mm: [1, 1, 1], patch: [" + DIGITS[:400] + ", 32, 1]}",
        "budget: {steps: 1000000000000000000000}", "budget: {batch: 1000000000000}", "budget: {learning_rate: .inf}",
        "budget: {learning_rate: .nan}", "budget: {learning_rate: 1.0e+300}", "budget: {devices: 1000000, batch: 1000000}",
        "seeds: [-1]", "seeds: [18446744073709551616]", "seeds: [0, 0]", "network: {channels: [16, 32, 1000000000]}",
        "protocol: {primary: {structure: ball}, accept: {dice: .nan}}",
        "protocol: {primary: {structure: ball}, accept: {gap_closed: .inf}}",
        "protocol: {primary: {structure: ball}, non_inferiority: {margin: .inf, source: x}}",
        "protocol: {primary: {structure: ball}, nsd_tolerance_mm: .inf}",
        "protocol: {primary: {structure: ball}, planned_n: 1000000000000000000000000}",
        "protocol: {primary: {structure: ball}, failure_below: .nan}",
        "method: {name: [bridge]}", "method: 5", "structures: ball", "structures: [5]",
    ],
)  # fmt: skip
def test_a_number_or_shape_that_no_study_has_is_refused(tmp_path, change):
    key = change.partition(":")[0]
    lines = [line for line in STUDY.splitlines() if not line.startswith(f"{key}:")]
    (tmp_path / "trial.yaml").write_text("\n".join([*lines, change, ""]))
    assert answer(load_study, tmp_path / "trial.yaml") == "SPEC_INVALID"


@pytest.mark.parametrize(
    "text",
    [
        DATASET,
        "\ufeff" + DATASET,
        DATASET.replace("\n", "\r\n"),
        "%YAML 1.2\n---\n" + DATASET + "...\n",
        DATASET.replace("train: [a, b]", "train: [2024-01-31, 2024-13-45]"),  # YAML 1.2 knows no dates
        DATASET + "licence: 2024-02-30\n",
        DATASET.replace("{1: {name: ball}}", "{1: &one {name: ball}, 2: *one}"),
        DATASET.replace("{1: {name: ball}}", "{1: &one {name: ball}, 2: {<<: *one, type: '4147007'}}"),
        DATASET.replace("root: /nowhere", 'root: "/Prüfung ∂"'),
        DATASET.replace("/nowhere", "!!str /nowhere"),
        DATASET + "window: [-1000, 1.0e+3]\n",
        DATASET.replace("train: [a, b]", "train: [" + ", ".join(f"p{n}" for n in range(5000)) + "]"),
    ],
    ids=lambda text: text[-60:],
)
def test_a_spec_that_a_hospital_may_write_is_taken(tmp_path, text):
    path = tmp_path / "clinic.yaml"
    path.write_bytes(text.encode())
    assert answer(load_dataset, path) == "taken"


@pytest.mark.parametrize(
    "change",
    [
        {"training": 5}, {"training": [5]}, {"training": [None]}, {"training": {"image": "a"}}, {"training": "ab"},
        {"training": [{"image": 5, "label": 6}]}, {"training": [{"image": "", "label": ""}]},
        {"training": [{"image": "../../a.nii", "label": "/etc/b.nii"}]}, {"training": [{"image": "a\0b.nii", "label": "c.nii"}]},
        {"training": [{"image": "a" * 5000 + ".nii", "label": "c.nii"}]},
        {"file_ending": 5}, {"file_ending": "/../../x"}, {"labels": []}, {"labels": {"background": 0, "ball": "x"}},
        {"labels": {"ball": {"a": 1}}}, {"labels": {"ball": float("nan")}}, {"labels": {"ball": 1.5}}, {"labels": {"ball": 10**30}},
        {"labels": {"ball": "²"}}, {"labels": {}}, {"channel_names": {}}, {"channel_names": []}, {"channel_names": {"0": None}},
        {"channel_names": {"0": {"a": 1}}}, {"channel_names": 5}, {"licence": "\ud800"}, {"reference": "a\u001b[31m"},
    ],
    ids=lambda change: ascii(change)[:60],
)  # fmt: skip
def test_a_dataset_json_of_another_shape_is_refused(tmp_path, change):
    document = {"channel_names": {"0": "T1"}, "labels": {"background": 0, "ball": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps({**document, **change}))
    assert answer(load_dataset, tmp_path / "dataset.json") == "SPEC_INVALID"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"a":' * 100_000, "[" * 5000 + "]" * 5000, DIGITS, '{"labels": {"ball": ' + DIGITS + "}}", "", "5",
        "null", '"' + '\\"' * 200_000, '{"labels": {"a": 1}, "labels": {"b": 1}, "channel_names": {"0": "CT"}}', "\ufeff{", "{]",
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_a_dataset_json_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    assert answer(load_dataset, tmp_path / "dataset.json") == "SPEC_INVALID"


@pytest.mark.parametrize("text", ['{"items": ' + "[" * 100_000, "[]", '{"items": {"a": 1}}', '{"items": [5]}',
                                  '{"items": [{"case": "a", "rating": ' + DIGITS + "}]}",
                                  '{"items": [{"case": "a", "rating": 1e999}]}',
                                  '{"items": [{"case": ["a"], "rating": 1}]}', '{"items": 5}', "null",
                                  '{"items": [{"case": "a", "rating": true}]}',
                                  '{"items": [{"case": "a", "rating": 1.9}]}'],
                         ids=lambda text: text[:40])  # fmt: skip
def test_ratings_of_another_shape_are_refused(tmp_path, text):
    (tmp_path / "ratings.json").write_text(text)
    assert answer(read_ratings, tmp_path / "ratings.json", {"a"}) == "SPEC_INVALID"
