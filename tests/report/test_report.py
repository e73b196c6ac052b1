"""Report: what a board reads must follow from the files, be complete, and render whatever came out."""

import json
import re
from functools import cache

import numpy as np
import pytest

from xmed import metrics, report
from xmed.errors import XmedError
from xmed.files.digest import digest
from xmed.run import SIGNOFF, Run

ARMS = {"source_only": 9.0, "adapted": 1.2, "target_supervised": 0.5}
SHAPE, SPACING = (36, 40, 22), (1.5, 1.5, 3.0)
EVIL = '"><script>alert(1)</script>'


def ellipsoids(random, shift=0.0, shape=SHAPE):
    """Two structures side by side; `shift` moves them away from where they are, in voxels."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    label = np.zeros(shape, dtype=np.uint8)
    for value, (centre, radii) in enumerate([((16, 18, 11), (8, 7, 5)), ((24, 29, 11), (5, 5, 3))], start=1):
        moved = np.asarray(centre) + shift * random.uniform(0.4, 1.0) * np.array([1, -0.5, 0.2])
        label[(((grid - moved) / radii) ** 2).sum(-1) < 1] = value
    return label


@pytest.fixture
def make(tmp_path):
    """A finished run's folder, as training and evaluation leave it, without either."""

    def make(
        patients=5, seeds=(0, 1), arms=tuple(ARMS), trivial=True, accept=None, empty=False, absent=False, credible=True,
        quarantined=True, names=("prostate", "bladder"), label="case", shape=SHAPE,
    ):  # fmt: skip
        run = Run(tmp_path / f"toy-{len(list(tmp_path.iterdir()))}")
        random = np.random.default_rng(3)
        study = {
            "name": "toy-mr-to-us", "source": "toy-mr", "target": "toy-us", "structures": list(names),
            "grid": {"spacing_mm": [1.5, 1.5, 3.0], "patch": [32, 32, 16], "context": 0},
            "network": {"name": "unet", "channels": [8, 16]}, "task": {"name": "segmentation", "largest_component": False},
            "method": {"name": "bridge"}, "budget": {"steps": 60, "batch": 2, "learning_rate": 0.002}, "seeds": list(seeds),
            "protocol": {
                "primary": {"metric": "dice", "structure": names[0]},
                "accept": {"gap_closed": 0.6, "dice": None, "gain_over_trivial": 0.0, "not_below_source_only": True, **(accept or {})},
                "nsd_tolerance_mm": 3.0,
            },
            "register_as": "toy-us",
        }  # fmt: skip
        run.write("study", study)
        protocol = {key: study[key] for key in ("name", "source", "target", "structures", "protocol")}
        run.write("protocol", {**protocol, "sha256": digest(protocol), "fixed_at": "2026-01-01T00:00:00+00:00"})
        run.write("data", _data(patients, credible, quarantined, names, label))
        for arm in arms:
            for seed in seeds:
                _trained(run.arm(arm, seed), arm, seed, random)
        rows = []
        run.pictures.mkdir(parents=True)
        for n in range(patients):
            case, who = f"{label}-{n}", f"patient-{n}"
            truth = ellipsoids(random, shape=shape)
            if absent and n == 0:
                truth[truth == 1] = 0
            image = np.clip(0.25 + 0.3 * (truth == 1) + 0.15 * (truth == 2) + random.normal(0, 0.06, shape), 0, 1)
            drawn = {}
            for arm in arms:
                for seed in seeds:
                    guess = ellipsoids(random, ARMS[arm] * (1 + n / patients), shape) * (not empty)
                    drawn.setdefault(arm, guess.astype(np.uint8))
                    rows += _rows(arm, seed, case, who, guess, truth, names, credible)
            if trivial:
                for arm, rule in (("trivial_threshold", "otsu, bright"), ("trivial_position", "mean mask > 0.5")):
                    rows += _rows(
                        arm, None, case, who, ellipsoids(random, 6.0, shape), truth, names, credible, rule=rule
                    )
            affine = np.diag([*SPACING, 1.0])[[1, 0, 2, 3]]  # rows run to posterior, columns to the left
            np.savez_compressed(
                run.pictures / f"{case}.npz", image=image.astype(np.float32), truth=truth, spacing=np.array(SPACING),
                affine=affine, names=np.array(names), **drawn,
            )  # fmt: skip
        run.write("rows", rows)
        run.write(
            "metrics", {"conventions": metrics.CONVENTIONS, "nsd_tolerance_mm": 3.0, "spacing_credible": credible}
        )
        run.write(
            "environment", {"xmed": "0", "python": "3.11", "platform": "Linux", "command": "xmed run toy", "git": None}
        )
        run.write("errors", [])
        return run

    return make


def _data(patients, credible, quarantined, names, label):
    def cases(split, n, prefix, who):
        return [
            {
                "case": f"{prefix}-{m}",
                "patient": f"{who}-{m}",
                "split": split,
                "has_label": True,
                "shape": list(SHAPE),
                "spacing_mm": list(SPACING),
            }
            for m in range(n)
        ]

    bad = (
        [{"case": "us-x", "patient": "px", "split": "train", "code": "SLICE_GAP", "message": "slice 7 is missing"}]
        if quarantined
        else []
    )
    shared = {"licence": "CC0-1.0", "source": "made up", "structures": list(names), "spacing_credible": credible}
    train = {"source": cases("train", 4, "mr", "a"), "target": cases("train", 3, "us", "b")}
    test = cases("test", patients, label, "patient")
    out = {}
    for side, modality, tested, refused in (("source", "MR", [], []), ("target", "US", test, bad)):
        found = train[side] + tested
        flow = {
            "found": len(found) + len(refused),
            "readable": len(found),
            "quarantined": len(refused),
            "train": len(train[side]),
            "select": 0,
            "test": len(tested),
        }
        out[side] = {
            "name": f"toy-{modality.lower()}",
            "modality": modality,
            "fingerprint": "f" * 64,
            "cases": found,
            "quarantined": refused,
            "flow": flow,
            **shared,
        }
    return {**out, "leakage": {"patient_overlap": [], "pixel_overlap": []}}


def _trained(folder, arm, seed, random):
    folder.mkdir(parents=True)
    guards = {
        "consistency": {"value": 0.91, "limit": 0.85, "ok": True},
        "empty_share": {"value": None, "limit": None, "ok": True},
    }
    candidates = [
        {"step": 30, "kept": True, "guards": guards},
        {"step": 60, "kept": arm != "source_only", "guards": guards},
    ]
    chosen = 60 if arm != "source_only" else 30
    selection = {
        "rule": "the last candidate that no guard holds back",
        "used_target_labels": False,
        "candidates": candidates,
        "chosen": chosen,
    }
    record = {
        "arm": arm, "seed": seed, "method": "bridge" if arm == "adapted" else arm, "cite": "A. Author, A Journal, 2026",
        "hyperparameters": {}, "steps": 60, "batch": 2, "seconds": 12.3, "parameters": 12345, "device": "cpu",
        "network": {"name": "unet", "channels": [8, 16]}, "target_labels_used": arm == "target_supervised",
        "deployable": arm != "target_supervised", "selection": selection, "weights_sha256": digest([arm, seed]),
    }  # fmt: skip
    (folder / "train.json").write_text(json.dumps(record))
    steps = np.arange(1, 61)
    supervised = 1.3 * np.exp(-steps / 18) + 0.15 + random.normal(0, 0.03, 60)
    lines = [f"{s},{a:.4f},{a / 3:.4f},{a * 4 / 3:.4f},0.001" for s, a in zip(steps, supervised)]
    (folder / "losses.csv").write_text("step,supervised,consistency,total,lr\n" + "\n".join(lines) + "\n")


def _rows(arm, seed, case, patient, guess, truth, names, credible, **more):
    for value, name in enumerate(names, start=1):
        measured = _measured((guess == value).tobytes(), (truth == value).tobytes(), truth.shape, credible)
        status = "ok" if (guess == value).any() or not (truth == value).any() else "empty_prediction"
        yield {
            "arm": arm,
            "seed": seed,
            "case": case,
            "patient": patient,
            "structure": name,
            "status": status,
            **measured,
            **more,
        }


@cache  # every test's run has the same masks
def _measured(guess, truth, shape, credible):
    masks = (np.frombuffer(data, dtype=bool).reshape(shape) for data in (guess, truth))
    return metrics.measure_structure(*masks, SPACING, 3.0, spacing_credible=credible)


def built(run):
    page = report.write_report(run)
    return json.loads(page.with_suffix(".json").read_text()), page.read_text()


# --- what it says


def test_the_numbers_are_those_of_the_rows(make):
    run = make()
    document, _ = built(run)
    mine = [row for row in run.read("rows") if row["arm"] == "adapted" and row["structure"] == "prostate"]
    cell = document["summary"]["adapted"]["prostate"]["dice"]
    assert cell["mean"] == pytest.approx(np.mean([row["dice"] for row in mine]))
    assert (cell["n"], cell["n_cases"], cell["n_failed"]) == (5, 5, 0)
    assert cell["ci"][0] < cell["mean"] < cell["ci"][1]
    by_seed = [np.mean([row["dice"] for row in mine if row["seed"] == seed]) for seed in (0, 1)]
    assert cell["sd_between_seeds"] == pytest.approx(np.std(by_seed, ddof=1))
    mean = {
        arm: document["summary"][arm]["prostate"]["dice"]["mean"]
        for arm in (*ARMS, "trivial_threshold", "trivial_position")
    }
    gap = (mean["adapted"] - mean["source_only"]) / (mean["target_supervised"] - mean["source_only"])
    assert document["summary"]["gap_closed"]["prostate"] == pytest.approx(gap)
    gain = mean["adapted"] - max(mean["trivial_threshold"], mean["trivial_position"])
    assert document["summary"]["gain_over_trivial"]["prostate"] == pytest.approx(gain)


@pytest.mark.parametrize(("promoted", "says"), [(True, "Promoted, decided"), (False, "Not promoted, and registered")])
def test_whether_to_adapt_at_all_is_said_with_its_reason_and_its_evidence(make, promoted, says):
    run = make()
    candidates = [
        {"name": "source_only", "kept": True, "mean_rank": 1.5, "scores": {"reverse": 0.437, "proxy": None}},
        {"name": "adapted", "kept": False, "mean_rank": None, "scores": {"reverse": 0.891, "proxy": None}},
    ]
    found = {"candidates": candidates, "validators": ["reverse"], "chosen": "adapted" if promoted else "source_only"}
    run.write("selection", {"promoted": promoted, "reason": "so it came out", "seeds": {"0": found}})
    document, page = built(run)
    assert (document["selection"]["promoted"], document["selection"]["reason"]) == (promoted, "so it came out")
    assert f"{says}" in page
    assert all(piece in page for piece in ("so it came out", "0.437", "0.891"))
    assert report.verify_report(run.folder) == []


def test_an_arm_that_was_chosen_or_averaged_from_others_has_its_place_in_the_report(make):
    run = make()
    folder = run.arm("adapted", 0)
    record = json.loads((folder / "train.json").read_text())
    guards = {"consistency": {"value": 0.5, "limit": 0.6, "ok": False}}
    chosen = [
        {"name": "bridge", "kept": True, "guards": guards},
        {"name": "source_only", "kept": True, "guards": guards},
    ]
    record["selection"] |= {"candidates": chosen, "chosen": "bridge"}
    (folder / "losses.csv").unlink()
    (folder / "train.json").write_text(json.dumps(record))
    assert '<td class="n">bridge</td>' in built(run)[1]
    record["selection"] = {"rule": "all members", "used_target_labels": False, "members": ["bridge", "gin"]}
    (folder / "train.json").write_text(json.dumps(record))
    assert built(run)[0]["selection"]["rule"] == "all members"


def test_worst_cases_come_first(make):
    document, html = built(make())
    dice = [case["metrics"]["prostate"]["dice"] for case in document["cases"]]
    assert dice == sorted(dice)
    positions = [html.index(f"<h3>{case['case']}</h3>") for case in document["cases"]]
    assert positions == sorted(positions)


def test_the_page_shows_every_case_in_three_planes_with_contours(make):
    _, html = built(make(patients=3))
    assert len(re.findall(r"(axial|coronal|sagittal), slice \d+</figcaption>", html)) == 9
    pictures = html[html.index("<h3>Pictures</h3>") :]
    assert pictures.count('class="o-truth"') == pictures.count('class="o-adapted"') == 9


def test_every_number_of_the_hero_is_in_the_page(make):
    document, html = built(make())
    assert f"{100 * document['summary']['gap_closed']['prostate']:.0f} %" in html
    assert f"+{document['summary']['gain_over_trivial']['prostate']:.2f}" in html


def test_every_case_found_is_accounted_for_in_the_flow(make):
    run = make(patients=2)
    data = run.read("data")
    data["source"]["flow"]["found"] += 11
    run.write("data", data)
    _, html = built(run)
    assert "11 in no partition" in html


# --- verdict


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, "pass"),
        ({"accept": {"gap_closed": 0.999}}, "fail"),
        ({"accept": {"dice": 0.5}}, "pass"),
        ({"accept": {"gain_over_trivial": 0.9}}, "fail"),
        ({"arms": ("source_only", "adapted")}, "inconclusive"),
        ({"arms": ("adapted", "target_supervised")}, "inconclusive"),
        ({"trivial": False}, "inconclusive"),
        ({"empty": True}, "fail"),
        ({"accept": {"gap_closed": None, "gain_over_trivial": None, "not_below_source_only": False}}, "inconclusive"),
    ],
)
def test_the_verdict_follows_from_the_criteria(make, how, expected):
    document, _ = built(make(**how))
    assert document["verdict"] == expected
    asked = [one for one in document["criteria"] if one["id"] not in ("no_leakage", "protocol_unchanged")]
    if expected == "inconclusive" and asked:
        assert any(one["holds"] is None and one["reason"] for one in asked)


def test_a_patient_on_both_sides_fails_the_study(make):
    run = make()
    data = run.read("data")
    data["leakage"]["patient_overlap"] = ["patient-1"]
    run.write("data", data)
    document, html = built(run)
    assert document["verdict"] == "fail"
    assert "patient-1" in html


def test_a_protocol_changed_after_it_was_hashed_fails_the_study(make):
    run = make()
    protocol = run.read("protocol")
    protocol["protocol"]["accept"]["gap_closed"] = 0.1
    run.write("protocol", protocol)
    assert built(run)[0]["verdict"] == "fail"


def test_a_prediction_that_is_not_there_counts_as_a_failure(make):
    run = make()
    rows = run.read("rows")
    whole = built(run)[0]["summary"]["adapted"]["prostate"]["dice"]
    run.write("rows", [row for row in rows if (row["arm"], row["case"]) != ("adapted", "case-2")])
    document, _ = built(run)
    cell = document["summary"]["adapted"]["prostate"]["dice"]
    assert (cell["n"], cell["n_cases"], cell["n_failed"]) == (5, 5, 1)
    assert cell["mean"] < whole["mean"]
    assert {case["case"]: case["status"] for case in document["cases"]}["case-2"] == "missing"


def test_means_and_undefined_cases_add_up(make):
    document, _ = built(make(absent=True))
    cell = document["summary"]["source_only"]["prostate"]["dice"]
    assert cell["n_cases"] == 5
    assert cell["n"] + cell["n_undefined"] == 5 or cell["n_failed"] >= 1  # one case each: invented, or rightly nothing


# --- it always renders


@pytest.mark.parametrize(
    "how",
    [
        {"patients": 1}, {"seeds": (0,)}, {"patients": 1, "seeds": (0,)}, {"empty": True}, {"arms": ("adapted",), "trivial": False},
        {"arms": (), "trivial": True}, {"arms": (), "trivial": False}, {"quarantined": False}, {"absent": True}, {"patients": 1, "absent": True},
        {"credible": False}, {"shape": (36, 40, 1)}, {"names": ("prostate",)},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_came_out_is_shown_without_nan(make, how):
    document, html = built(make(**how))
    assert "NaN" not in json.dumps(document)
    assert not re.search(
        r"\b(nan|Undefined|inf|None(?!\.| were recorded))\b",
        re.sub(r"<style>.*?</style>|data:[^\"]*", "", html, flags=re.S),
    )
    assert len(document["claim"]) == 44


def test_millimetres_are_left_out_with_a_reason_where_spacing_is_not_credible(make):
    document, html = built(make(credible=False))
    assert document["summary"]["adapted"]["prostate"]["hd95_mm"]["reason"] == metrics.NO_MM
    assert metrics.NO_MM in html.replace("&#39;", "'")
    assert "HD95 mm" not in html


# --- the file itself


def test_the_page_needs_nothing_from_outside(make):
    _, html = built(make())
    assert not re.search(r"(src|href)=\"(?!data:|#|(contact|viewer)\.html\")", html)
    assert "<script" not in html
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html
    assert len(html) < 2_000_000


def test_no_anchor_is_dead(make):
    document, html = built(make())
    ids = set(re.findall(r'id="([^"]+)"', html))
    linked = set(re.findall(r'href="#([^"]+)"', html)) | {item["anchor"][1:] for item in document["claim"]}
    assert linked <= ids


def test_names_from_the_data_cannot_become_markup(make):
    run = make()
    data = run.read("data")
    data["target"]["quarantined"][0]["message"] = data["target"]["name"] = EVIL
    run.write("data", data)
    rows = [{**row, "patient": EVIL + row["patient"], "reason": EVIL} for row in run.read("rows")]
    run.write("rows", rows)
    run.write("errors", [{"code": "READER_FAILED", "message": EVIL, "where": EVIL}])
    _, html = built(run)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_the_same_files_give_the_same_report(make):
    run = make()
    assert built(run) == built(run)


def test_the_id_is_of_what_was_found_not_of_when(make):
    run = make()
    before = built(run)[0]["report_id"]
    run.write("environment", {"xmed": "0", "started": "later"})
    assert built(run)[0]["report_id"] == before
    rows = run.read("rows")
    rows[0]["dice"] = 0.123
    run.write("rows", rows)
    assert built(run)[0]["report_id"] != before


# --- verify


def test_a_fresh_report_agrees_with_its_files(make):
    run = make(patients=2)
    report.write_report(run)
    assert report.verify_report(run.folder) == report.verify_report(run.report) == []


def test_a_folder_without_a_report_is_named(tmp_path):
    with pytest.raises(XmedError, match=r"error\[RUN_NOT_FOUND\]: found no report below"):
        report.verify_report(tmp_path)


def test_a_run_that_was_not_evaluated_has_no_report(make):
    run = make(patients=1)
    (run.folder / "rows.json").unlink()
    with pytest.raises(XmedError, match=r"has no rows\.json · expected an evaluated run"):
        report.write_report(run)
    assert not run.report.exists()


def test_a_signature_is_shown_and_leaves_the_reports_id_alone(make):
    run = make()
    report.write_report(run)
    before = json.loads((run.report / "report.json").read_text())
    line = {"decision": "approved", "alias": "clinical-evaluation", "by": "Ada Reader", "meaning": "reviewed"}
    line |= {"at": "2026-01-01T00:00:00+00:00"}
    (run.report / SIGNOFF).write_text(json.dumps([line]))
    assert "report.signoff[0]" in report.verify_report(run.folder)[0]
    report.write_report(run)
    after = json.loads((run.report / "report.json").read_text())
    assert (after["signoff"], after["report_id"]) == ([line], before["report_id"])
    assert "Ada Reader" in (run.report / "report.html").read_text()
    assert report.verify_report(run.folder) == []
