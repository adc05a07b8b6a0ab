"""The order of files by the numbers in their names: one order for all who read it, or a refusal that names both."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from test_scan_folder import describe

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.files.series import series
from benchmark.scan_folder.load import open_scan_folder

VIEWS = range(24)
GOLDEN = [round(k * 137.50776 % 360, 4) for k in VIEWS]


def ordered(names: list[str]) -> list[str]:
    """The series of these names, given in any order."""
    mixed = np.random.default_rng(0).permutation(names)
    return [path.name for path in series("images", [Path(name) for name in mixed])]


ORDERS = {
    "decimals": [f"proj_{round(k * 0.36, 2)}.tif" for k in range(1000)],
    "decimal commas": [f"proj_{k / 2}deg.tif".replace(".5", ",5").replace(".0", ",0") for k in VIEWS],
    "decimals only where needed": [f"proj_{k / 2:g}.tif" for k in VIEWS],
    "golden angle, then number": [f"Lego_GR_{angle}_{k:03d}.tif" for k, angle in enumerate(GOLDEN)],
    "number, then golden angle": [f"Lego_{k}_{angle}.tif" for k, angle in enumerate(GOLDEN)],
    "number, then angle backwards": [f"img{k}_{360 - 15 * k}.tif" for k in VIEWS],
    "negative angles": [f"p_{angle:+.1f}.tif" for angle in np.arange(-60, 61, 5)],
    "negative angles behind a letter": [f"p{angle}.tif" for angle in range(-5, 100, 5)],
    "hyphens behind a letter": [f"scan-{k}.tif" for k in VIEWS],
    "hyphens": [f"scan-2_-{k:03d}.tif" for k in VIEWS],
    "a count behind a version": [f"scan1.{k + 1}.tif" for k in VIEWS],
    "time, then number": [f"2024-01-05_10-{30 + k // 2}-{k % 2 * 30:02d}_{k:04d}.tif" for k in VIEWS],
    "time": [f"2024-01-05_10-{30 + k // 2}-{k % 2 * 30:02d}.tif" for k in VIEWS],
    "turns": [f"run{turn}_{k}.tif" for turn in (1, 2) for k in VIEWS],
    "constant numbers": [f"512x512_{k}_16bit.tif" for k in VIEWS],
    "numbers as endings": [f"view.{k:04d}" for k in VIEWS],
    "long numbers": [f"{20240105103015000000 + 1000 * k}.tif" for k in VIEWS],
}


@pytest.mark.parametrize("name", ORDERS)
def test_names_in_order(name):
    assert ordered(ORDERS[name]) == ORDERS[name]


REFUSED = {
    "two counts that run against each other": (
        [f"a{359 - k}_{k:03d}.tif" for k in range(360)],
        "names with one order.*a0_359.* or .*a359_000",
    ),
    "angles that may be hyphens": (
        [f"p_{angle}.tif" for angle in range(-60, -1, 5)],
        "names with one order, found the number .* behind the hyphen",
    ),
    "decimals behind an underline": (["p_0_5.tif", "p_0_36.tif", "p_1_08.tif"], "names with one order"),
    "golden angle and number with many gaps": (
        [f"x_{a}_{k}.tif" for k, a in enumerate(GOLDEN) if k % 7 in (0, 1, 4)],
        "names with one order",
    ),
    "a number twice": (["img1.tif", "img01.tif", "img2.tif"], "each number once, found the same number in img0?1.tif and img0?1.tif"),
    "a gap": ([f"img{k}.tif" for k in VIEWS if k != 7], "gapless series of images, found none between number 6 and 8"),
    "a gap among angles": ([f"img{k * 0.5:.1f}.tif" for k in VIEWS if k != 7], "found none between number 3 and 4"),
    "a stranger with a number": ([*(f"img{k}.tif" for k in range(5)), "img9999.tif"], "found none between number 4 and 9999"),
    "no numbers": (["a.tif", "b.tif"], "names that differ only in their numbers, found 1 like a.tif; 1 like b.tif"),
    "two series": ([f"{side}{k}.tif" for side in ("left", "right") for k in VIEWS], "found 24 like left0.tif; 24 like right0.tif.*pattern"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_names_without_one_order(name):
    names, found = REFUSED[name]
    with pytest.raises(InputError, match=f"^images: expected .*{found}"):
        ordered(names)


def test_strangers_are_left_out_and_named(caplog):
    views = [f"img{k}.tif" for k in VIEWS]
    assert ordered([*views, "align.tif", "Thumb_1.tif", "flat_1.tif", "img3 (1).tif", "preview.png"]) == views
    (text,) = caplog.messages
    assert text.startswith("note: images: 24 files like img0.tif are used; left out")
    assert all(name in text for name in ("align.tif", "Thumb_1.tif", "flat_1.tif", "img3 (1).tif", "preview.png"))


def test_a_first_file_without_a_number(tmp_path):
    paths = [tmp_path / name for name in ("img.tif", *(f"img ({k}).tif" for k in range(1, 9)))]
    with pytest.raises(InputError, match="expected a number in each name, found img.tif beside img .1..tif"):
        series("images", paths)
    assert len(series("images", [tmp_path / "img.tif", *(tmp_path / f"img_{k:04d}.tif" for k in range(8))])) == 8


def test_the_command_line_says_each_note_once(tmp_path, capsys):
    (tmp_path / "views").mkdir()
    for name in ("v0", "v1", "v2", "align"):
        tifffile.imwrite(tmp_path / "views" / f"{name}.tif", np.zeros((30, 36), np.float32))
    assert main(["new-scan", str(tmp_path)]) == 0
    assert capsys.readouterr().err.count("note: ") == 1
    describe(tmp_path, projections={"file": "views"})
    assert main(["run", "--scan", str(tmp_path), "--methods", "fdk", "--views", "2", "--output", str(tmp_path / "r"), "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert said == f"note: {tmp_path / 'views'}: 3 files like v0.tif are used; left out, since they are named otherwise: align.tif\n"


@given(
    step=st.sampled_from([0.1, 0.25, 0.36, 0.9, 1.0, 1.5, 7.2]),
    count=st.integers(2, 60),
    digits=st.integers(0, 4),
    start=st.integers(-90, 90),
    numbered=st.booleans(),
)
def test_angles_in_names_are_sorted_or_refused(step, count, digits, start, numbered):
    """Whatever the notation, no view is silently misplaced."""
    angles = [round(start + k * step, digits) for k in range(count)]
    names = [f"p_{angle:.{digits}f}" + f"_{k:03d}" * numbered + ".tif" for k, angle in enumerate(angles)]
    if len(set(names)) < count:
        return
    try:
        assert ordered(names) == names
    except InputError as error:
        assert "expected names with one order" in str(error) or "gapless" in str(error) or "once" in str(error)
        assert start < 0 or math.log10(1 / step) > digits - 1, error


def test_angles_in_another_order_than_in_the_names(tmp_path):
    """Names sort golden angles by size, the file of angles lists them as they were taken."""
    (tmp_path / "views").mkdir()
    for k, angle in enumerate(GOLDEN):
        np.save(tmp_path / "views" / f"v_{angle:.2f}.npy", np.full((30, 36), k / 100, np.float32))
    np.savetxt(tmp_path / "angles.txt", GOLDEN, fmt="%.4f")
    describe(tmp_path, projections={"file": "views"}, angles={"arc": None, "file": "angles.txt"})
    with pytest.raises(InputError, match="angles: expected 7.66 for view 1, as the name v_7.66.npy says, found 137.508 .*in another order"):
        open_scan_folder(tmp_path)
    np.savetxt(tmp_path / "angles.txt", -np.sort(GOLDEN), fmt="%.4f")
    assert open_scan_folder(tmp_path).view(1).max() == np.float32(np.argsort(GOLDEN)[1] / 100)


def test_angles_in_the_names_that_are_not_those_of_scan_yaml(tmp_path, caplog):
    (tmp_path / "views").mkdir()
    for k in VIEWS:
        np.save(tmp_path / "views" / f"v_{k * 7.5:.1f}_{k:03d}.npy", np.zeros((30, 36), np.float32))
    for angles in ({"arc": 180}, {"arc": 180, "rotation": "clockwise"}, {"arc": None, "step": 7.5}):
        describe(tmp_path, projections={"file": "views"}, angles=angles)
        open_scan_folder(tmp_path)
    assert not caplog.messages
    describe(tmp_path, projections={"file": "views"})
    open_scan_folder(tmp_path)
    assert "angles are 0, 15, 30, ..., but the names of the images hold 0, 7.5, 15, ..." in caplog.text
