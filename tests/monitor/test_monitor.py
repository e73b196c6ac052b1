"""Drift: the rule fires for what changed, keeps still for what did not, says when it cannot tell, and loses no image."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import json

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from support.drift_reference import REFUSED, about, built, composed, crowd, patient, reference, run  # noqa: F401
from support.evaluated_runs import written
from support.validated_model import GRID, NETWORK
from xmed import monitor, report
from xmed.cohort import load_cohort
from xmed.files.digest import digest
from xmed.labels import LabelTable, Structure
from xmed.model.deployed import Model
from xmed.model.prediction import embedding
from xmed.monitor import alarm
from xmed.monitor.measure import GROUPS, measured, texture
from xmed.networks import build_network
from xmed.records.record import content
from xmed.volume import Volume

# --- the rule


@pytest.mark.parametrize(
    ("changes", "group"),
    [({"move": 3.0}, "intensities"), ({"vendor": "SIEMENS"}, "acquisition"), ({"unsure": 0.3}, "confidence")],
)
def test_a_change_raises_the_alarm_and_is_named(changes, group):
    found = composed(about(6), reference(), crowd(6, 2, **changes), [])
    assert found["verdict"] == "alarm"
    assert group in [one["id"] for one in found["groups"] if one["changed"]]
    assert found["p"] <= alarm.IMAGES
    assert group in found["reason"]


def test_the_same_kind_of_patients_raise_none_and_what_was_left_out_is_counted():
    found = composed(about(7), reference(), crowd(6, 3), REFUSED[:1])
    assert (found["verdict"], found["unreadable"]["n"], found["unreadable"]["of"]) == ("no_alarm", 1, 7)
    assert found["unreadable"]["by_code"] == {"SLICE_GAP": 1}
    assert found["unreadable"]["cases"] == REFUSED[:1]


def test_images_that_cannot_be_read_are_a_change_themselves():
    found = composed(about(8), reference(), crowd(3, 3), REFUSED)
    assert found["verdict"] == "alarm"
    assert found["reason"].startswith("5 of 8 images cannot be read")
    assert composed(about(8), reference(refused=9), crowd(3, 3), REFUSED)["verdict"] == "no_alarm", "as before"


@pytest.mark.parametrize(("n", "m", "least"), [(12, 1, 2), (4, 2, 3), (3, 3, 4), (1, 5, None), (0, 5, None)])
def test_too_few_patients_are_undecided_and_told_how_many_it_takes(n, m, least):
    found = composed(about(m), reference(n), crowd(m, 4, move=50.0), [])
    assert found["verdict"] == "undecided"
    assert found["rule"]["least_patients"] == least
    assert (f"at least {least} are needed" in found["reason"]) == (least is not None)


def test_the_rule_is_wrong_as_seldom_as_it_says():
    """40 checks of patients like the reference: two false alarms are to be expected, six would be one in 70."""
    known = reference().patients
    fired = [alarm.fires(alarm.shift_of(known, list(crowd(6, seed).values()), 300)) for seed in range(100, 140)]
    assert sum(fired) <= 5


# --- what may be expected of the model


def test_an_estimate_has_an_interval_only_where_enough_patients_calibrate_it_and_none_of_it_after_a_change():
    same, few = (composed(about(6), reference(errors=n), crowd(6, 3), [])["estimate"]["ball"] for n in (10, 8))
    assert same["mean"] == pytest.approx(0.85, abs=0.02)
    assert (same["half_width"], same["may_be_below_tau"], same["warning"]) == (0.09, 0, None)
    assert few["half_width"] is None
    assert "8 calibration cases are too few for 90%: 9 needed" in few["reason"]
    moved = composed(about(6), reference(), crowd(6, 2, move=3.0), [])["estimate"]["ball"]
    assert "do not use this estimate" in moved["warning"]
    blurred = composed(about(6), reference(), crowd(6, 2, vendor="SIEMENS"), [])["estimate"]["ball"]
    assert (blurred["exchangeable"], "the alarm was raised" in blurred["warning"]) == (False, True)
    ends = composed(about(6), reference(), crowd(6, 3), [])["patients"][0]["structures"]["ball"]
    assert ends["interval"] == pytest.approx([ends["confidence"] - 0.09, ends["confidence"] + 0.09])


# --- the simulation


def test_the_simulation_sees_what_is_gross_soon_and_seldom_cries_wolf():
    pool = crowd(14, 5)
    random = np.random.default_rng(0)
    copies = {"noise": {name: patient(random, move=4.0) for name in list(pool)[:5]}}
    found = alarm.simulated(pool, copies, 9)
    assert (found.n_reference, found.n_new) == (9, 5)
    assert found.in_control.rate <= 0.1
    (noise,) = found.disturbed
    assert noise.seen > 0.95
    assert noise.delay in (2, 3)
    assert alarm.simulated(pool, copies, 9) == found


def test_where_patients_cannot_be_divided_the_simulation_says_so():
    found = alarm.simulated(crowd(5, 6), {}, 5)
    assert found.in_control is None
    assert "5 patients are too few to be divided" in found.reason


# --- what is measured


def test_noise_raises_the_grain_blurring_lowers_it_and_gain_and_padding_do_not_matter():
    random = np.random.default_rng(0)
    smooth = np.indices((24, 24, 4)).sum(0) + random.normal(0, 1, (24, 24, 4))
    image = Volume(smooth.astype(np.float32), np.eye(4))
    plain = texture(image)
    noisy = texture(image.with_array((smooth + random.normal(0, 4, smooth.shape)).astype(np.float32)))
    blurred = texture(image.with_array((np.roll(smooth, 1, 0) + smooth + np.roll(smooth, -1, 0)).astype(np.float32)))
    brighter = texture(image.with_array((7 * smooth + 30).astype(np.float32)))
    padded = texture(Volume(np.pad(smooth, ((40, 40), (0, 0), (0, 0))).astype(np.float32), np.eye(4)))
    for name in plain:
        assert blurred[name] < 0.8 * plain[name] < plain[name] < 0.8 * noisy[name]
        assert brighter[name] == pytest.approx(plain[name], rel=1e-4)
        assert padded[name] == pytest.approx(plain[name], rel=0.25)
    assert set(texture(image.with_array(np.ones((24, 24, 4), np.float32))).values()) == {0.0}


@pytest.mark.parametrize("members", [1, 2])
def test_an_embedding_is_one_vector_however_large_the_volume(members):
    network = NETWORK.model_copy(update={"members": members})
    table = LabelTable((Structure(1, "ball"),))
    model = Model(build_network(network, 2, 1, 2, 0).eval(), GRID, network, "PT", table)
    random = np.random.default_rng(0)
    for shape in ((16, 16, 4), (40, 23, 3)):
        seen = model.sample(
            "a", Volume(random.normal(size=shape).astype(np.float32), np.diag([1.0, 1, 2, 1]), None, "PT")
        )
        found = embedding(model, seen)
        assert found.shape == (8,)
        assert np.array_equal(found, embedding(model, seen))
    row = measured(
        model, Volume(random.normal(size=(16, 16, 4)).astype(np.float32), np.eye(4), None, "PT"), {"sex": "F"}, True
    )
    assert {*row.numbers, "embedding"} == set(GROUPS)
    assert row.categories == {}, "who the patient is, is nobody's business here"


# --- the page


def test_drift_json_keeps_its_schema_and_the_page_needs_no_network(tmp_path):
    Draft202012Validator.check_schema(monitor.drift_schema())
    named = [{**REFUSED[0], "message": "<script>alert(1)</script>"}]
    for seed, verdict in ((2, "alarm"), (3, "no_alarm")):
        found = composed(about(7), reference(), crowd(6, seed, move=3.0 * (seed == 2)), named)
        page = built(found, tmp_path / verdict)
        assert content(monitor.read_drift_check(tmp_path / verdict)) == json.loads(json.dumps(found))
        text = page.read_text(encoding="utf-8")
        assert verdict.replace("_", " ").capitalize() in text
        assert "<script" not in text
        assert "http" not in text.replace("http-equiv", "")
        assert text.count("<svg") == text.count('role="img" aria-label="') + text.count('aria-hidden="true"')
    empty = composed(about(1), reference(1, errors=0), {}, REFUSED[:1])
    assert "decides nothing" in built(empty, tmp_path / "empty").read_text(encoding="utf-8")


# --- the reference of a run


def test_a_reference_names_nobody_and_agrees_with_what_evaluation_measured(run, home):
    found = content(monitor.keep(run, home))
    assert (found["cases"], found["refused"], len(found["patients"]), found["modality"]) == (5, 0, 5, "PT")
    text = json.dumps(found)
    assert not any(f'"{case.id}"' in text for case in load_cohort("clinic-pet", home).cases)
    rows = [row for row in run.read("rows") if row["arm"] == "adapted"]
    measured = sorted(one["numbers"]["confidence"]["ball"] for one in found["patients"])
    assert measured == pytest.approx(sorted(row["confidence"] for row in rows), abs=1e-5)
    volumes = sorted(one["numbers"]["volumes"]["ball"] for one in found["patients"])
    assert volumes == pytest.approx(sorted(row["volume_ml"] for row in rows), abs=1e-5)
    errors = sorted(abs(row["confidence"] - row["dice"]) for row in rows)
    assert found["errors"]["ball"] == pytest.approx(errors, abs=1e-5)
    assert [one["id"] for one in found["simulation"]["disturbed"]] == ["noise", "gain", "resolution"]
    assert digest(found) == digest(json.loads((run.folder / "monitor.json").read_text()))


def test_a_reference_is_made_once_and_never_of_other_data(run, home, tmp_path, monkeypatch):
    first = monitor.keep(run, home)
    monkeypatch.setattr("xmed.monitor.validated_data.reference", lambda *_: pytest.fail("made again"))
    assert monitor.keep(run, home) == first
    monkeypatch.undo()
    run.write("data", {side: {"fingerprint": "0" * 64} for side in ("source", "target")})
    with pytest.raises(Exception, match=r"error\[DATA_CHANGED\]: found clinic-pet has changed since run balls-"):
        monitor.keep(run, home)


def holds(shown, kept):
    """Whether all that was kept stands in what is shown, which may say more of it (intervals, sentences)."""
    if isinstance(kept, dict):
        return kept.keys() <= shown.keys() and all(holds(shown[key], value) for key, value in kept.items())
    if isinstance(kept, list):
        return len(kept) == len(shown) and all(map(holds, shown, kept))
    return shown == kept


def test_section_14_shows_the_alarm_as_it_was_tried_and_says_where_it_was_not(tmp_path):
    pool = crowd(14, 5)
    random = np.random.default_rng(0)
    copies = {"noise": {name: patient(random, move=4.0) for name in list(pool)[:5]}}
    tried = {
        "schema": "xmed-reference/1", "of": "", "rule": alarm.RULE, "study": "toy", "run": "toy", "weights_sha256": "0" * 64,
        "dataset": "toy-us", "fingerprint": "f", "modality": "US", "credible": True, "structures": ["prostate"], "cases": 3,
        "refused": 0, "patients": [], "errors": {}, "tau": 0.7, "simulation": content(alarm.simulated(pool, copies, 9)),
    }  # fmt: skip
    for name, kept, shown in (
        ("with", tried, "nothing: every alarm is false"),
        ("without", None, "A simulation of the alarm"),
    ):
        run = written(tmp_path / name, patients=3, seeds=(0,), names=("prostate",))
        if kept:
            run.write("monitor", kept)
        assert shown in report.write_report(run).read_text(encoding="utf-8")
        assert report.verify_report(run.folder) == []
        found = content(report.read_report(run.report))["monitoring"]
        assert holds(found["simulation"], kept and kept["simulation"])
        assert (alarm.RULE in found["rules"][-1]["text"]) == bool(kept)
