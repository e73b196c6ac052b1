"""C7: causes of failure are true, also where spacing is not credible and nothing can be said in millilitres."""

from pathlib import Path

import numpy as np
import pytest

from support.chosen_dice import built, run_of
from xmed.cohort import Case
from xmed.evaluate.reference import ReferenceCase
from xmed.records.evaluation import CaseRow
from xmed.report.failure_causes import causes
from xmed.volume import Volume


def square(edge, shape=(64, 64, 1), at=(32, 32)):
    label = np.zeros(shape, dtype=np.uint8)
    low = [place - edge // 2 for place in at]
    label[low[0] : low[0] + edge, low[1] : low[1] + edge] = 1
    return label


def row_of(reference, drawn, credible=False):
    """What evaluation writes of a drawn label map."""
    case = Case("a", "p", "test", None, None)
    return ReferenceCase(case, Volume(reference, np.eye(4)), ["head"], 3.0, credible).row("adapted", 0, 1, drawn)


INPUTS = {
    "6.8 times the area": (square(10), square(26), "too_large"),
    "3.8 times the area": (square(12), square(24), "too_large"),
    "2.8 times the area": (square(12), square(20), "too_large"),
    "1.4 times the area, beside itself": (square(12), square(14, at=(36, 36)), None),
    "a third of the area": (square(18), square(10), "too_small"),
    "one pixel": (square(18), square(1), "too_small"),
    "too large, and in the wrong place": (square(8, at=(16, 16)), square(30, at=(46, 46)), "wrong_place"),
    "a volume, three times as large": (np.repeat(square(10), 9, 2), np.repeat(square(18), 9, 2), "too_large"),
}


@pytest.mark.parametrize("credible", [False, True])
@pytest.mark.parametrize("name", INPUTS)
def test_size_is_a_cause_whether_spacing_is_credible_or_not(name, credible):
    reference, drawn, expected = INPUTS[name]
    found = causes(CaseRow.model_validate(row_of(reference, drawn, credible)), 0.99)
    if expected is None:
        assert not {"too_large", "too_small"} & set(found)
    else:
        assert expected in found
        assert "boundary" not in found


@pytest.mark.parametrize("voxels", [680, 100])
def test_the_page_tells_size_in_voxels(tmp_path, voxels):
    def also(row):
        return {**row, "voxels": voxels, "reference_voxels": 100 if voxels > 100 else 680}

    document, _page = built(run_of(tmp_path / "run", {"adapted": 0.5}, credible=False, also=also, names=("head",)))
    worst = document["failures"]["worst"][0]
    assert worst["causes"] == ["too_large" if voxels > 100 else "too_small"]
    assert ("6.8" if voxels > 100 else "0.15") in worst["text"]
    assert "voxels" in worst["text"]
    assert " ml" not in worst["text"]


def test_a_report_of_rows_without_counts_opens_and_claims_no_size(tmp_path):
    document, page = built(run_of(tmp_path / "run", {"adapted": 0.5}, credible=False))
    assert document["failures"]["worst"][0]["causes"]
    assert "size is not known" in document["failures"]["worst"][0]["text"]
    assert "place, size and pieces are right" not in page
    assert Path(tmp_path / "run" / "report" / "report.html").is_file()
