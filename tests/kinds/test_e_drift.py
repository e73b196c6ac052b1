"""E: a drift page says what its drift.json says: numbers with their units, p values on the right side of their limits."""

import html
import json
import re

import numpy as np
import pytest
from scipy.stats import fisher_exact

from support.drift_reference import built as built_page, composed
from support.page_text import numbers, seen
from xmed.monitor import alarm
from xmed.records.drift import Measurements, ValidationReference
from xmed.records.record import content

CALM, FEW, UNTRIED = 3, 8, content(alarm.simulated({}, {}, 0))


def patient(random, names, move=0.0, unsure=0.0, scale=1.0, credible=True, vendor="GE", field="3", embedded=0.0):
    """One row with everything that `measured` measures."""
    grey = scale * (100 + 10 * move + random.normal(0, 5))
    lengths = {"spacing_min": 1.5, "spacing_max": 3.0 + 0.1 * random.random()} if credible else {}
    told = {"vendor": vendor} | ({"field_t": field} if field else {})
    row = {
        "numbers": {
            "acquisition": {"extent_max": 240 + 10 * random.random(), **lengths},
            "intensities": {
                "mean": grey, "sd": 0.2 * grey, "p05": -0.1 * grey, "p50": grey, "p95": 2 * grey,
                "in_view": 0.9 + 0.05 * random.random(),
            },
            "texture": {"grain_mean": 1 + random.normal(0, 0.1), "grain_median": 0.9 + random.normal(0, 0.1)},
            "volumes": {one: (30 + random.normal()) * (1 if credible else 0.001) for one in names},
            "confidence": {one: float(np.clip(0.85 - unsure + random.normal(0, 0.02), 0, 1)) for one in names},
        },
        "categories": told,
        "embedding": (random.normal(0, 1, 8) + move + embedded).tolist(),
    }  # fmt: skip
    return Measurements.model_validate(row)


def tried(alarms=4):
    """A trial as `simulated` leaves it."""
    seen = [
        {"id": "noise", "text": "noise (speckle in ultrasound)", "level": "0.25 SD", "seen": 0.93, "delay": 2},
        {"id": "gain", "text": "gain and contrast", "level": "gamma 0.6", "seen": 0.31, "delay": None},
    ]
    control = {"alarms": alarms, "rate": alarms / 100}
    return {"n_reference": 9, "n_new": 5, "repeats": 100, "in_control": control, "disturbed": seen, "reason": None}


def check(
    old=12, new=6, seed=CALM, refused=0, refused_before=0, errors=10, error=0.01, tau=0.7, names=("ball",),
    constant=False, trial=None, modality="PT", credible=True, old_scale=1.0, **changes,
):  # fmt: skip
    """drift.json of made-up patients. changes: of the new ones, see `patient`."""
    before, after = np.random.default_rng(1), np.random.default_rng(seed)
    how = {"names": names, "credible": credible}
    scale = changes.pop("scale", old_scale)
    known = [patient(before, **how, scale=old_scale) for _ in range(old)]
    came = {f"p{k}": patient(after, **how, scale=scale, **changes) for k in range(new)}
    if constant and known:
        known, came = [known[0]] * old, dict.fromkeys(came, known[0])
    kept = {
        "schema": "xmed-reference/1", "of": "0" * 64, "weights_sha256": "a" * 64, "modality": modality, "credible": credible, "rule": alarm.RULE, "study": "balls", "run": "balls-1", "dataset": "clinic-pet", "fingerprint": "f" * 64,
        "structures": list(names), "cases": old, "refused": refused_before, "patients": known, "tau": tau,
        "errors": {one: [error * k for k in range(errors)] for one in names}, "simulation": trial or tried(),
    }  # fmt: skip
    about = {
        "created": "2026-01-01T00:00:00+00:00",
        "model": {"reference": "models:/balls/1", "study": "balls", "weights_sha256": "a" * 64, "modality": modality},
        "input": {"name": "new", "cases": new + refused, "patients": new, "fingerprint": "b" * 64},
    }
    bad = [{"case": f"bad-{n}", "code": "SLICE_GAP", "message": "slice 7 is missing"} for n in range(refused)]
    return composed(about, ValidationReference.model_validate(kept), came, bad)


CHECKS = {
    "nothing changed": {},
    "brighter": {"seed": 2, "move": 3.0},
    "another scanner": {"vendor": "SIEMENS", "field": "1.5"},
    "no field strength": {"field": None},
    "less sure": {"unsure": 0.3},
    "unreadable": {"new": 3, "refused": 5},
    "one unreadable": {"refused": 1, "refused_before": 1},
    "nothing readable": {"new": 0, "refused": 1},
    "nothing came": {"new": 0},
    "one patient": {"new": 1},
    "two patients": {"new": 2},
    "too few": {"old": 4, "new": 2},
    "one validated": {"old": 1, "new": 5},
    "none validated": {"old": 0, "new": 3, "errors": 0},
    "everything constant": {"constant": True},
    "no calibration": {"errors": 0},
    "one for calibration": {"errors": 1},
    "eight for calibration": {"errors": 8},
    "no width": {"error": 0.0},
    "whole width": {"error": 0.1},
    "two structures": {"names": ("ball", "left_kidney")},
    "two that changed": {"names": ("ball", "left_kidney"), "unsure": 0.1},
    "underscore": {"names": ("left_kidney",)},
    "not tried": {"trial": UNTRIED},
    "many false alarms": {"trial": tried(20)},
    "large values": {"old_scale": 650.0},
    "tiny values": {"old_scale": 1e-7},
    "no scale": {"credible": False, "modality": "US"},
    "computed tomography": {"modality": "CT"},
    "very many": {"old": 230, "new": 120},
    "fine limit": {"tau": 0.725},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    known = {}

    def built(name):
        if name not in known:
            known[name] = drawn(check(**CHECKS[name]), tmp_path_factory.mktemp("drift"))
        return known[name]

    return built


def drawn(document, folder):
    """drift.json as it was written, the page as it is read, and its source."""
    text = built_page(document, folder).read_text(encoding="utf-8")
    return json.loads((folder / "drift.json").read_text(encoding="utf-8")), seen(text), text


def at(document, pointer):
    for step in pointer.split("/")[1:]:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def of_section(page, name):
    return [cells for section, cells in page.rows if section == name]


def tile(page, start):
    (text,) = [text for label, text in page.tiles.items() if label.startswith(start)]
    return " ".join(text.split())


def p_of(text):
    """A p value as it is shown first in a text: 0.0009 for < 0.001; None for a dash."""
    found = re.match(r"\D*?(<)? ?(\d\.\d+)", text)
    return None if text.startswith("–") or not found else float(found[2]) - 0.0001 * bool(found[1])


@pytest.mark.parametrize("name", CHECKS)
def test_every_number_agrees_with_the_document_at_its_source(built, name):
    document, _, text = built(name)
    traced = re.findall(r'<span data-json-path="([^"]*)">([^<]*)</span>', text)
    assert len(traced) >= 5
    for pointer, shown in ((html.unescape(a), html.unescape(b)) for a, b in traced):
        value = at(document, pointer)
        if value is None:
            assert shown == "–", pointer
            continue
        values, said = value if isinstance(value, list) else [value], numbers(shown)
        assert len(values) == len(said), (pointer, shown)
        for one, word in zip(values, re.findall(r"\d+(?:\.\d+)?", shown)):
            one = abs(one) * (100 if "%" in shown else 1)
            room = 0.5 * 10.0 ** -len(word.partition(".")[2]) if one < 1000 or "." in word else 0.5
            assert abs(one - float(word)) <= room + 1e-9 or (shown.startswith("<") and one < float(word)), (
                pointer,
                shown,
            )


@pytest.mark.parametrize("name", CHECKS)
def test_no_key_and_no_null_of_python_stands_in_the_text(built, name):
    _, page, text = built(name)
    said = page.words + " ".join(html.unescape(one) for one in re.findall(r'aria-label="([^"]*)"', text))
    assert re.findall(r"\b[a-z]+_[a-z0-9_]+\b|\bfield t\b", said) == []
    assert not re.search(
        r"\bNone\b(?! of \d)|\[\d|\bnan\b|\binf\b|\bTrue\b|\bFalse\b(?! alarms)|\{|\d[eE][+-]?\d", said
    )


@pytest.mark.parametrize("name", CHECKS)
def test_sentences_agree_in_number(built, name):
    _, page, _ = built(name)
    said = " ".join(page.words.split())
    assert re.findall(r"\b1 (?:new )?(?:patients|images|cases|calibration cases|new ones)\b.{20}", said) == []
    assert re.findall(r"\b(?!1\b)\d+ (?:new )?(?:patient|image|case|calibration case)\b", said) == []
    assert re.findall(r"\b0 of 0 may\b|\. ?\.|\bp = <|\bp < <", said) == []


@pytest.mark.parametrize("name", CHECKS)
def test_no_range_begins_where_it_ends_and_every_one_holds_its_value(built, name):
    document, page, _ = built(name)
    for low, high in re.findall(r"(\d+(?:\.\d+)?)(?: %)? to (\d+(?:\.\d+)?)", page.words):
        assert float(low) < float(high)
    held = 0
    for cells in of_section(page, "estimate")[1:]:
        for confidence, ends in zip(cells[2::3], cells[3::3]):
            if found := numbers(ends):
                assert found[0] - 0.006 <= numbers(confidence)[0] <= found[-1] + 0.006, cells
                assert 0 <= found[0] <= found[-1] <= 1
                held += 1
    can = document["patients"] and all(one["half_width"] is not None for one in document["estimate"].values())
    assert held == (len(document["patients"]) * len(document["estimate"]) if can else 0)


@pytest.mark.parametrize("name", CHECKS)
def test_the_tiles_count_what_the_document_counts(built, name):
    document, page, _ = built(name)
    came, known, lost = document["input"], document["reference"], document["unreadable"]
    assert numbers(tile(page, "New patients")) == [came["patients"], came["cases"]]
    assert numbers(tile(page, "Reference patients"))[0] == known["patients"]
    (text,) = [text for label, text in page.tiles.items() if re.search(r"ot readable$", label.strip())]
    assert numbers(text) == [lost["n"], lost["of"], known["refused"], known["refused"] + known["cases"]]
    assert re.search(r"\bimages?\b", text)
    subtitle = page.words[page.words.index("Still the data") :].split("against")
    assert (numbers(subtitle[0])[0], numbers(subtitle[1])[0]) == (came["patients"], known["patients"])
    assert len(of_section(page, "unreadable")) == (lost["n"] + 1 if lost["n"] else 0)


@pytest.mark.parametrize("name", CHECKS)
def test_the_p_values_lie_on_the_side_of_their_limits_that_the_verdict_says(built, name):
    document, page, _ = built(name)
    rule, fired = document["rule"], []
    for label, limit, p in (
        ("Images", rule["images"], document["p"]),
        ("Not readable, p", rule["unreadable"], document["unreadable"]["p"]),
    ):
        (text,) = [t for one, t in page.tiles.items() if one.startswith(label) and one.strip().endswith("p")]
        shown = p_of(text.strip())
        assert (shown is None) == (p is None)
        assert numbers(text)[-1] == limit
        fired.append(shown is not None and shown <= limit)
    assert any(fired) == (document["verdict"] == "alarm")
    for group, cells in zip(document["groups"], of_section(page, "groups")[1:]):
        assert ("changed" in cells[0]) == group["changed"]
        shown = p_of(cells[-1]) if len(cells) == 4 else None
        assert (shown is not None and shown <= rule["images"]) == group["changed"], cells
    assert document["p"] is None or document["p"] == min(one["p_adjusted"] for one in document["groups"] if one["p"])


@pytest.mark.parametrize("name", CHECKS)
def test_the_sentence_of_the_banner_has_the_p_of_the_tile(built, name):
    document, page, _ = built(name)
    tiles = [" ".join(text.split()) for label, text in page.tiles.items() if label.strip().endswith("p")]
    said = re.findall(r"\(p (?:= )?((?:< )?[\d.]+)\)", document["reason"])
    assert said == [] if document["verdict"] == "undecided" else len(said) >= (document["p"] is not None)
    for one in said:
        assert any(text.startswith((f"{one} ", f"{one}alarm")) for text in tiles), (one, tiles)


@pytest.mark.parametrize("name", CHECKS)
def test_the_limits_beside_the_p_values_are_those_of_the_rule(built, name):
    document, page, _ = built(name)
    rule, said = document["rule"], " ".join(page.sections["rule"].split())
    assert re.findall(r"p at most ([\d.]+)", said) == [f"{rule['images']:g}", f"{rule['unreadable']:g}"]
    assert f"wrong in at most {100 * rule['alpha']:g} of 100" in said
    if rule["least_patients"]:
        assert re.search(rf"Against {document['reference']['patients']} patients\D* {rule['least_patients']} new", said)
    enough = document["input"]["patients"] >= (rule["least_patients"] or np.inf)
    assert (document["verdict"] == "undecided") <= (not enough)


@pytest.mark.parametrize("alarms", [0, 4, 6, 20])
def test_false_alarms_stand_with_their_interval_beside_what_the_rule_promises(tmp_path, alarms):
    _, page, _ = drawn(check(trial=tried(alarms)), tmp_path)
    (cells,) = [cells for cells in of_section(page, "rule") if cells[0] == "As they are"]
    value, low, high = numbers(cells[2])
    assert (value, low <= value <= high, high - low > 2) == (alarms, True, True)
    said = page.sections["rule"].partition("False alarms:")[2]
    assert numbers(said)[:4] == [alarms, 100, 5, 100]
    assert ("more often than the rule allows" in said) == (low > 5)
    for cells, one in zip(of_section(page, "rule")[2:], tried()["disturbed"]):
        value, low, high = numbers(cells[2])
        assert low <= value == 100 * one["seen"] <= high
        assert cells[3] == ("more than 5" if one["delay"] is None else str(one["delay"]))


UNITS = {
    "Voxel edge": "mm", "Extent": "mm", "Volume": "ml", "Image": "as read", "Grain": "ratio", "Confidence": "0 to 1",
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_every_quantity_has_its_unit_in_words(built, name):
    document, page, _ = built(name)
    how = {
        **UNITS,
        **({"Voxel edge": None, "Extent": "voxels", "Volume": "field of view"} if name == "no scale" else {}),
    }
    how |= {"Image": "HU"} if name == "computed tomography" else {}
    lines = [cells for cells in of_section(page, "numbers") if cells[0] != "Number"]
    assert len(lines) == len(document["numbers"])
    for cells in lines:
        if cells[0].startswith("Component"):
            continue
        if cells[0].startswith(("Manufacturer", "Field strength")):
            assert "patients" in cells[0]
            continue
        (unit,) = [unit for start, unit in how.items() if cells[0].startswith(start)]
        share = "in view" in cells[0]
        assert cells[0].endswith("of the image" if share else unit), cells
        if share or unit == "field of view":
            assert all(one == "–" or one.endswith(" %") for one in cells[1:3])
    for cells in of_section(page, "estimate")[:1]:
        assert all(how["Volume"] in head for head in cells[1::3]), cells
    assert not re.search(r"\bSD\b", page.words)


@pytest.mark.parametrize("name", ["another scanner", "no field strength", "nothing came"])
def test_scanners_are_counted_in_words(built, name):
    document, page, _ = built(name)
    (field,) = [cells[1] for cells in of_section(page, "numbers") if cells[0].startswith("Field strength")]
    (vendor,) = [cells[1] for cells in of_section(page, "numbers") if cells[0].startswith("Manufacturer")]
    new = {"another scanner": ("6 at 1.5 T", "6 SIEMENS"), "no field strength": ("6 not said", "6 GE")}.get(name)
    assert field == f"validated: 12 at 3 T; new: {new[0] if new else 'none'}"
    assert vendor == f"validated: 12 GE; new: {new[1] if new else 'none'}"
    assert document["input"]["patients"] in (0, 6)


@pytest.mark.parametrize("name", CHECKS)
def test_as_many_marks_are_drawn_as_it_says_the_greatest_among_them(built, name):
    document, page, text = built(name)
    counts = [document["reference"]["patients"], document["input"]["patients"]]
    most = [int(one) for one in re.findall(r"At most (\d+) patients a side", page.words)]
    assert bool(most) == (max(counts) > 200)
    for lane in re.findall(r'<svg class="lanes".*?</svg>', text, re.S):
        found = [[float(x) for x in re.findall(rf'class="{side}" cx="([\d.]+)"', lane)] for side in ("old", "new")]
        assert [len(one) for one in found] == [min(count, *most, count) for count in counts]
        if len(set(found[0] + found[1])) > 1:  # the axis leaves little room beyond the least and the greatest
            assert min(found[0] + found[1]) < 20
            assert max(found[0] + found[1]) > 180


@pytest.mark.parametrize("name", CHECKS)
def test_a_drawing_is_told_in_the_numbers_of_the_document(built, name):
    document, _, text = built(name)
    told = [html.unescape(one) for one in re.findall(r'class="lanes"[^>]*aria-label="([^"]*)"', text)]
    drawn_ones = [one for one in document["numbers"] if one["reference"] and "values" in one["reference"]]
    assert len(told) == len(drawn_ones)
    for said, one in zip(told, drawn_ones):
        for side, part in zip(("reference", "new"), said.partition(": validated ")[2].split("; new ")):
            found = one[side]
            values = found["values"] if found["n"] <= 12 else [found["quantiles"]["0.5"]]
            values = [100 * value if "share" in said else value for value in values]
            assert numbers(part) == pytest.approx(values, rel=2e-3, abs=0.051 if "share" in said else 0), said


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_explained_is_there(built, name):
    document, page, _ = built(name)
    psi = any(one["psi"] is not None for one in document["numbers"])
    assert ("PSI" in page.sections["numbers"]) == psi == (name == "very many")
    said = page.sections["estimate"]
    for structure, one in document["estimate"].items():
        word = structure.replace("_", " ")
        warned = f"Do not rely on the estimate for {word}." in " ".join(said.split())
        assert warned == (one["warning"] is not None)
        if document["verdict"] == "alarm":
            assert warned
        elif warned:
            assert "no alarm by the rule" in said, "why a page without an alarm warns"
    few = [one for one in document["estimate"].values() if one["half_width"] is None]
    assert said.count("No interval") == len(few)


@pytest.mark.parametrize("name", CHECKS)
def test_the_sentence_about_a_limit_counts_the_rows_of_the_table(built, name):
    document, page, _ = built(name)
    rows, said = of_section(page, "estimate")[1:], " ".join(page.sections["estimate"].split())
    found = re.findall(r"(\d+) of (\d+) may lie below (\d\.\d+)", said)
    limits = [one for one in document["estimate"].values() if one["may_be_below_tau"] is not None and one["n"]]
    assert len(found) == len(limits)
    for n, ((below, of, limit), one) in enumerate(zip(found, limits)):
        assert (int(of), float(limit)) == (len(rows), one["tau"])
        lows = [numbers(cells[3 + 3 * n])[0] for cells in rows]
        assert (
            sum(low < one["tau"] - 0.005 for low in lows) <= int(below) <= sum(low < one["tau"] + 0.006 for low in lows)
        )


NEAR = [
    (a, b, c)
    for a in range(1, 9) for b in range(1, 40) for c in range(10, 60)
    if 0.0095 < fisher_exact([[a, b], [0, c]], alternative="greater").pvalue < 0.0105
][:4]  # fmt: skip


@pytest.mark.parametrize(("lost", "read", "before"), NEAR)
def test_a_p_is_not_rounded_onto_the_other_side_of_its_limit(tmp_path, lost, read, before):
    document, page, _ = drawn(check(old=before, new=read, refused=lost), tmp_path)
    p, limit = document["unreadable"]["p"], document["rule"]["unreadable"]
    shown = p_of(tile(page, "Not readable, p"))
    assert (shown <= limit) == (p <= limit) == ("cannot be read" in document["reason"])
    assert (numbers(page.sections["unreadable"].partition(": p ")[2] or "1")[0] <= limit) == (p <= limit)


@pytest.mark.parametrize("p", [0.0396, 0.04, 0.0402, 0.04004, 0.0004, 0.5])
def test_nor_is_the_p_of_the_images(tmp_path, p):
    document = check()
    document["p"] = document["groups"][0]["p_adjusted"] = p
    _, page, _ = drawn(document, tmp_path)
    limit = document["rule"]["images"]
    (text,) = [text for label, text in page.tiles.items() if label.startswith("Images") and label.strip().endswith("p")]
    assert (p_of(text.strip()) <= limit) == (p <= limit)
    assert (p_of(of_section(page, "groups")[1][-1]) <= limit) == (p <= limit)


@pytest.mark.parametrize("name", ["one validated", "none validated"])
def test_nobody_is_told_to_wait_for_what_cannot_help(built, name):
    document, page, _ = built(name)
    assert document["verdict"] == "undecided"
    assert "when more patients have come" not in page.sections["summary"]
    assert "validate" in page.sections["summary"]
    assert "when more patients have come" in built("too few")[1].sections["summary"]


def test_what_is_the_same_in_all_is_said_to_be(built):
    document, page, _ = built("everything constant")
    assert (document["verdict"], document["p"]) == ("no_alarm", None)
    assert "p = " not in document["reason"], "there is none"
    assert "the same in all patients" in page.words
    assert [text.strip()[0] for label, text in page.tiles.items() if re.match(r"Images.*, p", label)] == ["–"]


def test_an_estimate_that_only_its_own_test_distrusts_says_so(tmp_path):
    """The rule adjusts for all groups, the estimate's warning does not: both on one page need a word."""
    found = next(
        one for one in (check(seed=seed, embedded=0.45) for seed in range(40, 80))
        if one["verdict"] == "no_alarm" and one["estimate"]["ball"]["exchangeable"] is False
    )  # fmt: skip
    document, page, _ = drawn(found, tmp_path)
    (group,) = [one for one in document["groups"] if one["id"] == "embedding"]
    said = " ".join(page.sections["estimate"].split())
    assert numbers(said.partition("(p = ")[2])[0] == pytest.approx(group["p"], abs=5e-4)
    assert "no alarm by the rule" in said
