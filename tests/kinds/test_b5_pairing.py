"""B5: files are paired by one listing; how often the disk is asked grows with the files, not with their square."""

import sys
from pathlib import Path

import pytest

from support.pairing_layouts import FORMS, make
from xmed.cohort import ingest_cases
from xmed.cohort.layout import find_cases
from xmed.errors import XmedError
from xmed.spec import Layout

_asked = []
sys.addaudithook(
    lambda event, arguments: _asked and event in ("os.scandir", "os.listdir", "glob.glob") and _asked.append(event)
)


def listings(form, root):
    """How many folders are listed to pair the files below a root."""
    _asked.append("begin")
    try:
        found = find_cases(Layout(**FORMS[form][0]), root)
    finally:
        count = len(_asked) - 1
        _asked.clear()
    assert all(len(one.image) == 1 for one in found)
    assert all(len(one.label) == 1 for one in found)
    return len(found), count


@pytest.mark.parametrize("form", FORMS)
def test_no_folder_is_listed_more_than_a_few_times(form, tmp_path):
    folders = {}
    for count in (10, 40):
        root = make(tmp_path / str(count), form, count)
        cases, asked = listings(form, root)
        assert cases == count
        folders[count] = asked / (sum(path.is_dir() for path in root.rglob("*")) + 1)
    assert folders[40] <= 2.5
    assert folders[40] <= folders[10] * 1.2


def found(root, **patterns):
    return {
        one.case: (
            [p.relative_to(root).as_posix() for p in one.image],
            [p.relative_to(root).as_posix() for p in one.label],
        )
        for one in find_cases(Layout(**patterns), root)
    }


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_the_longest_case_that_a_label_may_belong_to_gets_it(tmp_path):
    root = touch(tmp_path, "i/1.nii", "i/10.nii", "i/1_s1.nii", "l/1_s1.nii", "l/10_s1.nii", "l/1_s1_s2.nii")
    labels = {case: label for case, (_, label) in found(root, image="i/{case}.nii", label="l/{case}_s*.nii").items()}
    assert labels == {"1": ["l/1_s1.nii"], "10": ["l/10_s1.nii"], "1_s1": ["l/1_s1_s2.nii"]}


def test_one_label_of_a_patient_is_that_of_all_its_cases(tmp_path):
    root = touch(tmp_path, "p/a.nii", "p/b.nii", "q/a.nii", "p/mask/m.seg")
    labels = {
        case: label
        for case, (_, label) in found(root, image="{patient}/{case}.nii", label="{patient}/mask/*.seg").items()
    }
    assert labels == {"p-a": ["p/mask/m.seg"], "b": ["p/mask/m.seg"], "q-a": []}


def test_signs_of_regular_expressions_and_globs_in_names_are_letters(tmp_path):
    names = ["a[1]", "a1", "b*", "c?", "d(2)+", "e{3}", "f%41", "-g", "h.", "ü", "x y", "🙂"]
    root = touch(tmp_path, *(f"i/{name}.nii" for name in names), *(f"l/{name}.seg" for name in names))
    labels = found(root, image="i/{case}.nii", label="l/{case}.seg")
    assert labels == {name: ([f"i/{name}.nii"], [f"l/{name}.seg"]) for name in names}


@pytest.mark.parametrize(
    ("pattern", "word"),
    [
        ("{case}*", "{case}"),
        ("i/{case}*.nii", "{case}"),
        ("i/*{case}.nii", "{case}"),
        ("i/{patient}{case}.nii", "{case}"),
        ("i/**{case}.nii", "**/"),
        ("{case}/**", "**/"),
        ("/data/{case}.nii", "root"),
        ("~/data/{case}.nii", "root"),
        ("../{case}.nii", "root"),
        ("i/image.nii", "{case}"),
        ("i/{Case}.nii", "{case}"),
    ],
)
def test_a_pattern_that_cannot_work_is_said_in_words_of_the_pattern(pattern, word, tmp_path):
    touch(tmp_path, "i/1.nii")
    with pytest.raises(XmedError) as refused:
        find_cases(Layout(image=pattern), tmp_path)
    assert refused.value.code == "SPEC_INVALID"
    assert pattern in str(refused.value)
    assert word in refused.value.expected + refused.value.do
    assert "entire path component" not in str(refused.value)


def test_a_root_in_the_home_folder_is_found(clinic, monkeypatch):
    monkeypatch.setenv("HOME", str(clinic.root.parent))
    spec = clinic.spec(root="~/data")
    assert spec.folder() == clinic.root
    assert spec.folder(Path("~/data")) == clinic.root


def test_a_link_is_called_a_link(clinic, home, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    away = tmp_path / "elsewhere" / "a.nii.gz"
    clinic.image("a").rename(away)
    clinic.image("a").symlink_to(away)
    (refusal,) = ingest_cases(clinic.spec(), home).quarantined
    assert refusal.code == "PATH_UNSAFE"
    assert "link" in refusal.message
