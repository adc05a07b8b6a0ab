"""validate names planted mistakes of the angles, and bad pixels do not mislead it; the whole matrix is slow."""

from __future__ import annotations

import numpy as np
import pytest
import validate_matrix
from validate_matrix import MISTAKES, cases, outcome, scan

from benchmark.validate.defects import cleaned, described, odd_views
from benchmark.validate.report import Report
from benchmark.validate.setup import Setup
from benchmark.validate.sizes import size_remarks, sizes

SCANS = {*validate_matrix.SCANS, "walnut"}


@pytest.mark.parametrize(
    ("name", "mistake", "blind"),
    [
        ("one row", "none", False),
        ("turn", "arc 180 for 360", False),
        ("one row", "step 5 for 3", False),
        ("turn", "hot pixels", False),
        ("walnut", "dead column", True),
        pytest.param("walnut", "arc 180 for 360", True, marks=pytest.mark.slow),
        pytest.param("short", "arc 360 for 200", True, marks=pytest.mark.slow),
    ],
)
def test_a_mistake_is_named_and_a_defect_does_not_mislead(name, mistake, blind):
    found = outcome(name, mistake, blind)
    assert found.verdict == "right", found.text
    if mistake in ("dead column", "hot pixels"):
        assert "dead, hot or noisy pixels" in found.text


@pytest.mark.slow
@pytest.mark.parametrize("blind", [False, True])
def test_nearly_every_mistake_of_the_matrix_is_said_and_no_good_scan_is_blamed(blind):
    found = [outcome(name, mistake, blind) for name, mistake in cases(SCANS, set(MISTAKES), blind)]
    assert [(one.scan, one.mistake) for one in found if one.mistake == "none" and one.verdict != "right"] == []
    assert sum(one.verdict == "silent" for one in found) <= 0.1 * len(found)
    assert sum(one.verdict == "right" for one in found) >= 0.8 * len(found)


@pytest.mark.parametrize("views", [1, 2, 5])
def test_few_views_without_a_truth_are_no_mistake(views):
    good = scan("one row").some_views(views)
    report = Report.of("few", Setup(good.projections, good.geometry))
    assert report.exit_code == 0 and report.diagnosis is None
    assert f"geometry: not checked, because {views} views without a truth say too little" in "\n".join(report.lines())
    assert report.facts()["exit_code"] == 0


def test_blank_views_are_left_out_by_their_number():
    good = scan("one row")
    wrong = good.projections.copy()
    wrong[[7, 20]] = 0.0
    assert not odd_views(good.projections).any()
    clean, (remark,) = cleaned(Setup(wrong, good.geometry))
    assert len(clean.projections) == len(wrong) - 2
    assert clean.geometry["angles"] == pytest.approx(np.delete(good.geometry["angles"], [7, 20]))
    assert remark.text.startswith("2 of 60 views show nothing") and "view 7, 20" in remark.text
    assert not odd_views(good.projections[:4]).any()


def test_rows_and_columns_of_bad_pixels_have_numbers():
    bad = np.zeros((20, 30), dtype=bool)
    bad[:, 4], bad[7], bad[1, 1] = True, True, True
    assert described(bad) == "50 dead, hot or noisy pixels (column 4; row 7)"


def test_sizes_show_a_wrong_unit():
    good = scan("turn")
    found = sizes(good)
    assert found.text.startswith("field of view 275 x 275 x 286 mm, pixel at the axis 4.46 mm, magnification 1.4, detector 400 x 400 mm")
    assert found.attenuation == pytest.approx(0.02, rel=0.2)
    assert size_remarks(good) == []
    lengths = ("source_to_origin", "source_to_detector", "detector_pitch")
    for factor in (1e3, 1e-5):
        wrong = good.changed(**{name: np.multiply(good.geometry[name], factor).tolist() for name in lengths})
        assert any("field of view" in remark.text for remark in size_remarks(wrong))
        assert any("attenuation" in remark.text for remark in size_remarks(wrong))
