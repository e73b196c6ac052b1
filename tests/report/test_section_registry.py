"""Sections of the report: every folder answers the same questions, and a new folder is all that a new section needs."""

import json
import math
import re
from html import unescape

import pytest

import xmed.report.sections as section_folders
from support.evaluated_runs import written
from xmed import report
from xmed.errors import XmedError
from xmed.html.traced_numbers import shown_problems
from xmed.records.record import content
from xmed.records.validation_report import Report
from xmed.report.compose_report import compose_report
from xmed.report.report_page import section_body
from xmed.report.section_registry import in_order_of_needs, numbered_sections, sections
from xmed.report.sources import OPTIONAL, Sources

FACTS = {f"patient-{n:03d}": {"sex": "FM"[n % 2], "age_band": "60-69", "vendor": "Acme"} for n in range(10)}
RUNS = {
    "whole": {"patients": 10, "robust": True, "facts": FACTS},
    "adapted alone": {"patients": 2, "seeds": (0,), "arms": ("adapted",), "trivial": False},
    "nothing was trained": {"patients": 1, "arms": (), "trivial": False, "credible": False},
    "nothing was measured": {"patients": 2, "change": lambda rows: []},
}
EVERY = pytest.mark.parametrize("section", sections(), ids=lambda section: section.name)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """name -> (run, document); of all but the first, every optional source is absent."""
    known = {}
    for name, how in RUNS.items():
        run = written(tmp_path_factory.mktemp("toy") / "toy", **how)
        if name != "whole":
            for source in OPTIONAL:
                (run.folder / f"{source}.json").unlink(missing_ok=True)
        known[name] = run, json.loads(json.dumps(compose_report(Sources.of(run)), allow_nan=False))
    return known


def text_of(body):
    """What a reader sees of a section, without its drawings."""
    bare = re.sub(r"<(svg|style|pre|code)\b.*?</\1>", " ", body, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", bare))).strip()


@EVERY
def test_it_has_a_title_a_place_an_anchor_and_its_two_files(section):
    assert section.title
    assert section.how_to_read or section.order == min(one.order for one in sections())
    assert re.fullmatch(r"[a-z]+", section.anchor)
    assert (section.folder / "compute.py").is_file()
    assert (section.folder / "section.html.j2").is_file()
    assert callable(section.compute)
    same = [one for one in sections() if one.order == section.order or one.anchor == section.anchor]
    assert [one.name for one in same] == [section.name]


@EVERY
def test_its_keys_are_its_own_and_its_lists_name_no_others(section):
    for other in sections():
        assert other.name == section.name or not set(other.provides) & set(section.provides)
    assert not set(section.provides) & set(section.needs)
    listed = {*section.not_in_id, *section.written_by_people, *section.kept_from_copy}
    assert listed | set(section.schema.get("properties", {})) <= set(section.provides)


@EVERY
@pytest.mark.parametrize("name", RUNS)
def test_it_computes_the_keys_that_it_names(section, documents, name):
    assert set(section.provides) <= set(documents[name][1])


@EVERY
@pytest.mark.parametrize("name", RUNS)
def test_it_is_drawn_whatever_is_absent_and_says_so_in_words(section, documents, name):
    text = text_of(section_body(*documents[name], section))
    assert len(re.findall(r"[A-Za-z]{3,}", text)) >= 3, text
    assert not re.search(r"\b(nan|NaN|Undefined|inf|None(?!\.)|True|False)\b", text)


@EVERY
def test_every_number_that_it_prints_is_that_of_the_document(section, documents):
    run, document = documents["whole"]
    body = section_body(run, document, section)
    assert shown_problems(body, document) == []
    values, sentences = [], []
    collect(document, values, sentences)
    fixed = (section.folder / "section.html.j2").read_text(encoding="utf-8") + " ".join(sentences)
    text = text_of(body).replace("−", "").replace("< 0.001", "")  # a small p-value is given as a bound
    for token in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", text):
        digits = len(token.partition(".")[2])
        near = 0.5000001 * 10**-digits
        known = any(abs(abs(value) * scale - float(token)) <= near for value in values for scale in (1, 100))
        assert known or token in fixed, f"{token} stands in {section.name}, and nowhere in the document"


def collect(value, values, sentences):
    """Every number and every text of a document."""
    if isinstance(value, dict):
        for key, one in value.items():
            sentences.append(key)
            collect(one, values, sentences)
    elif isinstance(value, list):
        for one in value:
            collect(one, values, sentences)
    elif isinstance(value, str):
        sentences.append(value)
    elif isinstance(value, float) and math.isfinite(value):
        values.append(value)


def test_a_section_comes_after_those_that_it_needs():
    computed = set()
    for section in in_order_of_needs():
        assert set(section.needs) <= computed
        computed |= set(section.provides)


def test_sections_are_numbered_in_the_order_of_the_page():
    numbers = {section.name: number for number, section in numbered_sections()}
    assert (numbers["summary"], numbers["data"], numbers["leakage"], numbers["reference_standard"]) == (
        "1", "3", "3.1", "4",
    )  # fmt: skip
    assert list(numbers.values())[-1] == "20"


# --- a new section is a new folder

COMPUTE = '''
from xmed.report.section_registry import Section


def compute(sources, rows, report):
    """How many test cases were judged, and the mean Dice over them."""
    dice = [case["metrics"]["prostate"]["dice"] for case in report["cases"]]
    return {"case_count": {"n": len(dice), "mean": sum(dice) / len(dice)}}


def extra_files(run, report):
    return {"case_count.txt": f"{report['case_count']['n']}\\n"}


SECTION = Section(
    title="Number of cases",
    order=75,
    anchor="count",
    how_to_read="More is better.",
    provides=("case_count",),
    needs=("cases",),
    compute=compute,
    extra_files=extra_files,
)
'''
TEMPLATE = '<p class="count">{{ at(["case_count", "n"], "plain") }} cases, {{ at(["case_count", "mean"], "number", 3) }}.</p>\n'
SCHEMA = {"required": ["case_count"], "properties": {"case_count": {"properties": {"n": {"type": "integer"}}}}}


@pytest.fixture
def new_section(tmp_path, monkeypatch):
    """A folder beside the sections' own, in which one more section lies."""
    folder = tmp_path / "more_sections" / "case_count"
    folder.mkdir(parents=True)
    (folder / "compute.py").write_text(COMPUTE)
    (folder / "section.html.j2").write_text(TEMPLATE)
    (folder / "section.css").write_text(".count { font-weight: 700; }\n")
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    monkeypatch.setattr(section_folders, "__path__", [*section_folders.__path__, str(folder.parent)])
    return folder


def test_a_new_section_stands_in_document_page_files_schema_and_verification(tmp_path, new_section):
    run = written(tmp_path / "toy", patients=4)
    page = report.write_report(run).read_text(encoding="utf-8")
    document = content(report.read_report(run.report))
    place = document["sections"].index("count")
    assert document["sections"][place - 1 : place + 2] == ["results", "count", "statistics"]
    assert document["case_count"]["n"] == 4
    assert document["report_id"] != without(document)["report_id"]
    assert '<a href="#count"><span class="no">7</span>Number of cases</a>' in page
    assert '<section id="count"' in page
    assert ".count { font-weight: 700; }" in page
    assert '<span data-json-path="/case_count/n">4</span> cases' in page
    assert (run.report / "case_count.txt").read_text() == "4\n"
    assert "case_count" in report.report_schema()["required"]
    assert report.verify_report(run.folder) == []


def numbers_digest(document):
    return report.numbers_digest(Report.model_validate(document))


def without(document):
    return {"report_id": numbers_digest({k: v for k, v in document.items() if k != "case_count"})}


def test_what_is_changed_in_a_new_section_is_found(tmp_path, new_section):
    run = written(tmp_path / "toy", patients=4)
    report.write_report(run)
    document = content(report.read_report(run.report))
    before = numbers_digest(document)
    document["case_count"]["n"] = 5
    assert numbers_digest(document) != before
    (run.report / "report.json").write_text(json.dumps(document))
    (run.report / "case_count.txt").write_text("5\n")
    problems = report.verify_report(run.folder)
    assert "report.case_count.n: 5 stands there, the files give 4" in problems
    assert "report.html: /case_count/n is shown as 4, and is 5 in report.json" in problems
    assert "case_count.txt: differs from the one that its files give" in problems


def test_a_section_that_breaks_its_own_schema_or_computes_other_keys_is_refused(tmp_path, new_section):
    run = written(tmp_path / "toy", patients=1)
    (new_section / "schema.json").write_text(json.dumps({"properties": {"case_count": {"type": "array"}}}))
    with pytest.raises(XmedError, match="REPORT_MISMATCH"):
        report.write_report(run)


def test_without_the_folder_the_section_is_gone(tmp_path):
    run = written(tmp_path / "toy", patients=1)
    assert "case_count" not in compose_report(Sources.of(run))
    assert "case_count" not in [section.name for section in sections()]
