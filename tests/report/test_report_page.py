"""The page and what stands beside it: every number is the document's, nothing is fetched, everything can be read."""

import base64
import gzip
import hashlib
import io
import json
import re
import sys
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from xml.etree import ElementTree

import nibabel
import numpy as np
import pytest
from ruamel.yaml import YAML

from support.evaluated_runs import missed, undefined, written
from xmed.errors import XmedError
from xmed.html.axis import Axis
from xmed.html.pdf import write_pdf
from xmed.html.render import chance, number, signed
from xmed.html.slices import views
from xmed.report.build_report import extras
from xmed.report.cards.chai import NAMESPACE
from xmed.report.case_pictures import MOST, NIIVUE
from xmed.report.compose_report import compose_report
from xmed.report.ratings import read_ratings
from xmed.report.report_page import report_html
from xmed.report.section_registry import sections
from xmed.report.sections.robustness.compute import without_shared_words
from xmed.report.sources import Sources

EVIL = '"><script>alert(1)</script>'
SHAPE, SPACING = (26, 30, 16), (1.5, 1.5, 3.0)


def pictures(run, seed=0):
    """Small volumes of every test case: two balls, and predictions of them that are a little off."""
    run.pictures.mkdir(parents=True, exist_ok=True)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    random = np.random.default_rng(seed)
    truth = np.zeros(SHAPE, dtype=np.uint8)
    for value, centre in enumerate([(9, 10, 5), (18, 20, 11)], start=1):
        truth[((grid - centre) ** 2 * (1, 1, 4)).sum(-1) < 30] = value
    image = np.clip(0.3 * truth + random.normal(0.2, 0.05, SHAPE), 0, 1).astype(np.float16)
    affine = np.diag([*SPACING, 1.0])
    for case in [one for one in run.read("data")["target"]["cases"] if one["split"] == "test"]:
        np.savez_compressed(
            run.pictures / f"{case['case']}.npz", image=image, truth=truth, adapted=np.roll(truth, 1, axis=0),
            source_only=np.roll(truth, 4, axis=1), spacing=np.array(SPACING), affine=affine,
        )  # fmt: skip
    return run


def drawn(run):
    document = json.loads(json.dumps(compose_report(Sources.of(run)), allow_nan=False))
    return document, report_html(run, document)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study with everything there is: pictures, probabilities, disturbed volumes, headers."""
    facts = {f"patient-{n:03d}": {"sex": "FM"[n % 2], "age_band": "60-69", "vendor": "Acme"} for n in range(10)}
    run = pictures(written(tmp_path_factory.mktemp("whole"), patients=10, facts=facts, robust=True))
    return run, *drawn(run), extras(run, compose_report(Sources.of(run)))


class Page(HTMLParser):
    """Ids, links, numbers with their path, and elements that must carry a text for those who do not see them."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.numbers, self.silent, self.path = [], [], [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.path = found.get("data-json-path")
        spoken = found.get("aria-hidden") == "true" or (found.get("role") == "img" and found.get("aria-label"))
        self.silent += [self.get_starttag_text()] if tag == "svg" and not spoken else []

    def handle_data(self, data):
        if self.path:
            self.numbers.append((self.path, data))
            self.path = None


# --- numbers


def test_every_number_with_a_path_is_the_one_that_stands_there_in_the_document(whole):
    _, document, html, _ = whole
    found = Page(html).numbers
    assert len(found) > 300
    for path, text in found:
        value = document
        for step in path.split("/")[1:]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        shown = [float(one) for one in re.findall(r"\d+(?:\.\d+)?", text.replace("−", ""))]
        ends = value if isinstance(value, list) else [value]
        if any(isinstance(end, bool | str) or end is None for end in ends) or "<" in text:
            continue
        for end, one in zip(ends, shown, strict=True):
            digits = len(str(one).partition(".")[2]) if "." in text else 0
            scale = 100 if "%" in text else 1
            assert abs(abs(end) * scale - one) <= 0.51 * 10**-digits, (path, text, value)


def test_the_headline_the_criteria_and_the_results_carry_their_paths(whole):
    _, document, html, _ = whole
    paths = {path for path, _ in Page(html).numbers}
    assert {f"/headline/strip/{n}/value" for n in range(6)} <= paths
    assert {f"/criteria/{n}/value" for n in range(len(document["criteria"]))} <= paths
    for arm in ("trivial_threshold", "trivial_position", "source_only", "adapted", "target_supervised"):
        assert {f"/summary/{arm}/{s}/dice/mean" for s in ("prostate", "bladder")} <= paths


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [(number, -0.0001, "0.00"), (number, -1.5, "−1.50"), (number, None, "–"), (signed, 0.2, "+0.20"),
     (signed, -0.2, "−0.20"), (chance, 0.0004, "< 0.001"), (chance, 0.05, "0.050")],
)  # fmt: skip
def test_a_number_is_written_with_a_true_minus_and_without_minus_zero(form, value, text):
    assert form(value) == text


@pytest.mark.parametrize("values", [[0.0, 1.0], [3.0], [-0.135, 0.0], [20.0, 245.0], [0.0, 1e-6], [-5e4, 7e4]], ids=str)
def test_an_axis_holds_its_values_and_has_round_ticks_on_it(values):
    axis = Axis.over(values, 10, 200)
    assert all(10 <= axis(value) <= 200 for value in values)
    assert [axis(value) for value in sorted(values)] == sorted(axis(value) for value in values)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 9
    assert all(10 <= tick.at <= 200 for tick in ticks)
    assert len({tick.label for tick in ticks}) == len(ticks)


# --- what it is made of


def test_the_twenty_sections_stand_in_their_order_and_every_link_leads_somewhere(whole):
    _, document, html, _ = whole
    found = Page(html)
    wanted = [section.anchor for section in sections()]
    assert wanted == document["sections"]
    assert [name for name in found.ids if name in wanted] == wanted
    assert len(set(found.ids)) == len(found.ids)
    inside = {link[1:] for link in found.links if link.startswith("#")}
    assert inside | {one["anchor"][1:] for one in document["claim"] + document["cases"]} <= set(found.ids)
    assert {link for link in found.links if not link.startswith("#")} == {"contact.html", "viewer.html"}


def test_who_signed_stands_in_the_report_with_what_it_means(whole):
    run, document, html, _ = whole
    assert "Nobody has signed this report" in html
    signed_by = {
        "decision": "approved",
        "alias": "clinical-evaluation",
        "by": "A. Physician",
        "meaning": "I read it",
        "at": "2026-01-01",
    }
    text = report_html(run, {**document, "signoff": [signed_by]})
    assert all(word in text for word in signed_by.values())
    assert "Nobody has signed" not in text


def test_every_drawing_has_a_text_for_those_who_do_not_see_it(whole):
    _, _, html, beside = whole
    assert Page(html).silent == Page(beside["contact.html"]).silent == []
    assert html.count("<svg") > 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper_in_light_and_dark(scheme):
    """Contrast as WCAG 2 defines it: 4.5 for text, 3 for what is drawn."""
    css = files("xmed.html").joinpath("templates", "style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, flags=re.S)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[0]))
    colours |= dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[1])) if scheme == "dark" else {}

    def light(colour):
        parts = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    def contrast(name):
        high, low = sorted((light(colours[name]), light(colours["paper"])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for name, least in [("ink", 7), ("soft", 4.5), ("adapted", 4.5), ("pass", 4.5), ("fail", 4.5), ("inconclusive", 4.5),
                        ("target_supervised", 3), ("source_only", 3), ("trivial_threshold", 3), ("trivial_position", 3)]:  # fmt: skip
        assert contrast(name) >= least, name


def test_the_slices_pass_through_the_structure_that_is_judged(tmp_path):
    run = pictures(written(tmp_path, patients=1))
    path = run.pictures / "us-0-0.npz"
    axial = {value: views(path, through=value)[0] for value in (1, 2)}
    assert (axial[1].slice, axial[2].slice) == (5, 11)
    assert len(views(path, planes=1)) == 1


# --- nothing from outside, nothing from the data that could act


def test_the_page_has_no_script_and_the_pages_beside_it_run_only_their_own(whole):
    _, _, html, beside = whole
    assert "<script" not in html
    assert not re.search(r"(src|srcset|xlink:href|action)=|url\(|@import", html)
    for name in ("viewer.html", "contact.html"):
        text = beside[name]
        assert "<script src" not in text
        policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
        assert "default-src 'none'" in policy
        assert "unsafe-eval" not in policy
        allowed = set(re.findall(r"'sha256-([^']+)'", unescape(policy)))
        scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
        assert {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts} == allowed


def test_the_viewer_bundled_is_the_one_that_was_published():
    folder = files("xmed.report").joinpath("bundled")
    named = re.search(r"sha256 (\w{64})", folder.joinpath("NOTICE").read_text())[1]
    assert hashlib.sha256(folder.joinpath(NIIVUE).read_bytes()).hexdigest() == named


def test_names_from_the_data_cannot_become_markup_in_anything_that_is_written(tmp_path):
    run = written(
        tmp_path, patients=3, names=("prostate", EVIL), change=lambda rows: [{**row, "reason": EVIL} for row in rows]
    )
    data = run.read("data")
    data["target"]["quarantined"][0] |= {"message": EVIL, "code": EVIL}
    for case in data["target"]["cases"]:
        case["patient"] += EVIL
    data["target"]["name"] = data["target"]["source"] = EVIL + "\x0b"
    run.write("data", data)
    run.write("rows", [{**row, "patient": row["patient"] + EVIL} for row in run.read("rows")])
    document, html = drawn(run)
    beside = extras(run, document)
    assert "&lt;script&gt;" in html
    for text in (html, beside["contact.html"], beside["README.md"].split("---\n", 2)[2]):
        assert "<script>alert" not in text
    embedded = re.search(r'id="volumes">(.*?)</script>', beside["viewer.html"], flags=re.S)[1]
    assert "<" not in embedded
    ElementTree.fromstring(beside["chai_model_card.xml"])


# --- whatever came out


@pytest.mark.parametrize(
    "how",
    [
        {"patients": 1}, {"patients": 1, "seeds": (0,), "names": ("prostate",)}, {"arms": (), "trivial": False}, {"arms": ("adapted",)},
        {"credible": False}, {"probabilities": False},
        {"change": lambda rows: [missed(row) for row in rows]},
        {"change": lambda rows: [undefined(row) for row in rows]},
        {"change": lambda rows: [{**row, "dice": 0.8, "nsd": 0.8} for row in rows]},
    ],
    ids=["one patient", "one of everything", "no arm", "one arm", "no millimetres", "no probabilities", "all failed", "nothing there", "constant"],
)  # fmt: skip
def test_every_section_and_every_file_is_there_whatever_came_out(tmp_path, how):
    run = written(tmp_path, **{"patients": 4, **how})
    document, html = drawn(run)
    text = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    assert not re.search(r"\b(nan|NaN|Undefined|inf|None(?!\.))\b", text)
    assert [name for name in Page(html).ids if name in document["sections"]] == document["sections"]
    assert set(extras(run, document)) == {"viewer.html", "contact.html", "chai_model_card.xml", "README.md"}


def test_labels_below_an_axis_leave_out_what_they_all_say():
    assert without_shared_words(["gamma 0.8", "gamma 0.6"]) == (["0.8", "0.6"], "gamma")
    assert without_shared_words(["5% off each side", "10% off each side"]) == (["5%", "10%"], "off each side")
    assert without_shared_words(["5°", "10°"]) == (["5°", "10°"], "")
    assert without_shared_words(["one"]) == (["one"], "")
    assert without_shared_words([]) == ([], "")


def test_no_document_is_shown_as_code(whole):
    """A mapping or a list that a template forgot would stand on the page in braces, a command in backticks."""
    _, document, html, _ = whole
    text = re.sub(r"<(style|pre)>.*?</\1>|<[^>]+>", " ", html, flags=re.S)
    assert not re.search(r"\{&#3[49];|\[&#3[49];|`xmed", text)
    assert "<code>xmed report verify</code> recomputes" in html
    assert all(f"<dt>{trap}</dt>" in html for trap in document["metrics_conventions"]["traps"])


def test_a_large_study_pictures_some_cases_and_lists_all(tmp_path):
    """500 cases stay far below 25 MB: the page carries pictures of a few, the contact sheet thumbnails of all."""
    run = pictures(written(tmp_path, patients=60, seeds=(0,), names=("prostate",)))
    document, html = drawn(run)
    assert html.count('<article class="case"') <= MOST
    assert {case["anchor"][1:] for case in document["cases"]} <= set(Page(html).ids)
    sheet = extras(run, document)["contact.html"]
    assert sheet.count('<li class="case') == 60
    assert 500 / 60 * max(len(html), len(sheet)) < 25e6


def test_the_same_document_gives_the_same_files(whole):
    run, document, html, beside = whole
    assert report_html(run, document) == html
    assert extras(run, document) == beside


# --- beside the page


def test_the_viewer_carries_the_voxels_that_were_judged(whole):
    run, document, _, beside = whole
    found = json.loads(re.search(r'id="volumes">(.*?)</script>', beside["viewer.html"], flags=re.S)[1])["cases"]
    assert found[0]["case"] == document["cases"][0]["case"]
    assert {one["name"] for one in found[0]["layers"]} == {"image", "truth", "adapted", "source_only"}
    with np.load(run.pictures / f"{found[0]['case']}.npz") as kept:
        for layer in found[0]["layers"]:
            data = base64.b64decode(layer["nifti"].partition(",")[2])
            volume = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
            assert np.allclose(volume.affine, np.diag([-1, -1, 1, 1]) @ kept["affine"])
            if layer["name"] != "image":
                assert np.array_equal(np.asarray(volume.dataobj), kept[layer["name"]])


OUTLINE = """
BasicInfo: ModelName ModelDeveloper DeveloperContact
ReleaseInfo: ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability EHRCompatibility? RegulatoryApproval?
ModelSummary: Summary Keywords
UsesAndDirections: IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse TargetedPatientPopulation CautionedOutOfScopeSettings
Warnings: KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel
TrustIngredients: AISystemFacts TransparencyInformation
KeyMetrics: UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability
Resources: EvaluationReferences? ClinicalTrial? PeerReviewedPublications ReimbursementStatus? PatientConsentOrDisclosure
Bibliography:
Keywords: Keyword*
AISystemFacts: OutcomesAndOutputs ModelType FoundationModels? InputDataSource OutputAndInputDataTypes DevelopmentDataCharacterization BiasMitigationApproaches OngoingMaintenance Security? Transparency?
TransparencyInformation: FundingSource ThirdPartyInformation? StakeholdersConsulted
UsefulnessUsabilityEfficacy: MetricGoal Results Interpretation TestType TestingDataDescription ValidationProcessAndJustification
FairnessEquity: MetricGoal Results Interpretation TestType TestingDataDescription ValidationProcessAndJustification
SafetyReliability: MetricGoal Results Interpretation TestType TestingDataDescription ValidationProcessAndJustification
Results: MetricResult+
MetricResult: Label ValueJson
"""


@pytest.mark.parametrize("how", [{}, {"arms": (), "trivial": False}], ids=["whole", "nothing trained"])
def test_the_chai_card_has_the_elements_of_schema_v0_2_in_their_order(tmp_path, how):
    """What mc.chai.org/v0.2/schema.xsd asks for: this order, element by element; every leaf is text, and none is empty.

    OUTLINE is that schema (mc-schema at 2ae5a91) but for an optional XML signature, which nothing here writes.
    """
    order = {line.partition(":")[0]: line.partition(":")[2].split() for line in OUTLINE.strip().splitlines()}
    root = ElementTree.fromstring(extras(run := written(tmp_path, **how), drawn(run)[0])["chai_model_card.xml"])
    assert root.tag == f"{{{NAMESPACE}}}AppliedModelCard"
    order["AppliedModelCard"] = list(order)[:9]

    def check(element):
        name = element.tag.partition("}")[2]
        children = " ".join(child.tag.partition("}")[2] for child in element) + " " * bool(len(element))
        if not order.get(name):
            assert len(element) == 0
            assert element.text.strip()
            return
        pattern = "".join(f"({one.rstrip('?*+')} ){one[-1] if one[-1] in '?*+' else ''}" for one in order[name])
        assert re.fullmatch(pattern, children), (name, children)
        for child in element:
            check(child)

    check(root)
    for value in root.iter(f"{{{NAMESPACE}}}ValueJson"):
        assert json.loads(value.text)["kind"] in ("estimate_ci", "single", "text")
    assert re.match(r"@\w+\{\w+, |None$", root.find(f"{{{NAMESPACE}}}Bibliography").text)


def test_the_hugging_face_card_repeats_the_numbers_of_the_summary(whole):
    _, document, _, beside = whole
    head = YAML(typ="safe").load(io.StringIO(beside["README.md"].split("---\n")[1]))
    [result] = head["model-index"][0]["results"]
    values = {one["name"]: one["value"] for one in result["metrics"]}
    assert values["Dice, prostate"] == document["summary"]["adapted"]["prostate"]["dice"]["mean"]
    assert result["task"]["type"] == "image-segmentation"


def test_a_pdf_without_its_library_is_refused_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("<p>")
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(
        XmedError,
        match=r"error\[PDF_UNAVAILABLE\]: found Playwright is not installed · expected pip install 'xmed\[pdf\]'",
    ):
        write_pdf(tmp_path / "report.html")
    with pytest.raises(XmedError, match="PATH_NOT_FOUND"):
        write_pdf(tmp_path / "none.html")


@pytest.mark.slow
@pytest.mark.services
def test_a_browser_prints_the_report_and_rates_its_cases_from_the_keyboard(whole, tmp_path):
    """With Chromium and Playwright: what the contact sheet exports is what the report reads, and A4 comes out."""
    playwright = pytest.importorskip("playwright.sync_api")
    from xmed.html.pdf import _browser

    if not _browser():
        pytest.skip("no browser is installed")
    _, document, html, beside = whole
    for name, content in {"report.html": html, **beside}.items():
        (tmp_path / name).write_text(content)
    assert write_pdf(tmp_path / "report.html").read_bytes().startswith(b"%PDF")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=_browser(), args=["--no-sandbox"])
        sheet = browser.new_context(offline=True).new_page()
        sheet.goto((tmp_path / "contact.html").as_uri())
        for key in ("3", "1", "c"):
            sheet.keyboard.press(key)
        sheet.keyboard.type("a line\tmore")
        sheet.keyboard.press("Escape")
        sheet.keyboard.press("2")
        with sheet.expect_download() as download:
            sheet.click("#json")
        download.value.save_as(tmp_path / "ratings.json")
        browser.close()
    cases = [case["case"] for case in document["cases"]]
    found = read_ratings(tmp_path / "ratings.json", set(cases))
    assert [(one["case"], one["rating"]) for one in found["items"]] == sorted(zip(cases[:3], (3, 1, 2)))
    assert [one["comment"] for one in found["items"] if one["case"] == cases[2]] == ["a line\tmore"]
