"""Tables that people's tools write as text: read right, or refused with the line; never guessed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.errors import InputError
from benchmark.files.door import read_rows
from benchmark.files.table import read_table
from benchmark.scan_folder.orbit import ANGLE
from benchmark.storage.text import decoded
from benchmark.storage.yaml_file import read_yaml

ANGLES = [0.0, 15.5, 30.25, 45.0, 60.125]
INDEXED = list(enumerate(ANGLES, 1))


def comma(value: float) -> str:
    return f"{value:.3f}".replace(".", ",")


READ = {
    "one a line": "\n".join(map(str, ANGLES)),
    "in one line": ", ".join(map(str, ANGLES)),
    "header": "angle\n" + "\n".join(map(str, ANGLES)) + "\n\n",
    "comments": "# made by hand\n" + "\n".join(f"{angle} % degrees" for angle in ANGLES) + "\n// end",
    "decimal commas": "\n".join(map(comma, ANGLES)),
    "decimal commas in one line": " ".join(map(comma, ANGLES)),
    "index": "\n".join(f"{k} {angle}" for k, angle in INDEXED),
    "semicolons": "index;angle\n" + "\n".join(f"{k};{angle}" for k, angle in enumerate(ANGLES)),
    "semicolons and decimal commas": "Nr;Winkel\n" + "\n".join(f"{k};{comma(angle)}" for k, angle in INDEXED),
    "semicolons at the ends": "\n".join(f"{angle};" for angle in ANGLES),
    "quotes": '"index","angle"\n' + "\n".join(f'"{k}","{angle}"' for k, angle in INDEXED),
    "colons": "Proj\tAngle(deg)\n" + "\n".join(f"{k}:\t{angle:.4f}" for k, angle in INDEXED),
    "three columns, one named": "Projs\tFrames per projection\tExposure\n5\t1\t500\nProjection\tAngle(deg)\tTime(s)\n"
    + "\n".join(f"{k}\t{angle:.4f}\t{k * 0.5:.3f}" for k, angle in INDEXED),
    "names of images": "file;angle\n" + "\n".join(f"view {k}.tif;{angle}" for k, angle in INDEXED),
    "times": "\n".join(f"2023-05-12 12:00:{k:02d} {angle}" for k, angle in INDEXED),
    "a printed list": "[" + ",\n".join(map(str, ANGLES)) + "\n]",
    "pairs": "\n".join(f"({k}, {angle})" for k, angle in INDEXED),
    "units behind the numbers": "\n".join(f"{angle} deg" for angle in ANGLES),
    "number of rows above": "5\n" + "\n".join(map(str, ANGLES)),
    "both units": "theta_deg,theta_rad\n" + "\n".join(f"{angle},{np.deg2rad(angle)}" for angle in ANGLES),
    "end of a text in DOS": "\n".join(map(str, ANGLES)) + "\x1a",
    "minus signs": "\n".join(f"{angle}".replace("-", "\N{MINUS SIGN}") for angle in ANGLES),
}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_angles_are_read(tmp_path, name, ends):
    for encoding in ENCODINGS:
        (tmp_path / "a.txt").write_bytes(READ[name].replace("\n", ends).encode(encoding))
        np.testing.assert_array_equal(read_rows(tmp_path / "a.txt", 5, 1, ANGLE, "degrees"), ANGLES)


def test_what_is_left_out_is_said(tmp_path, caplog):
    (tmp_path / "a.txt").write_text(READ["index"])
    read_rows(tmp_path / "a.txt", 5, 1, ANGLE)
    (tmp_path / "a.txt").write_text(READ["three columns, one named"])
    read_rows(tmp_path / "a.txt", 5, 1, ANGLE)
    assert "first column counts the rows" in caplog.messages[0] and "the column 'Angle(deg)' is used" in caplog.messages[1]


REFUSED = {
    "two meanings": (
        "0,0\n1,15\n2,30",
        3,
        "a table with one meaning, found 3 x 2 .*columns separated by commas.* or 3 x 1 .*decimal commas",
    ),
    "a word among numbers": ("0\n15\nabc\n30", 4, "line 3: expected numbers, found 'abc' between numbers"),
    "a word at the end": ("0\n15\n30\nend", 3, "line 4: expected numbers, found 'end' below numbers"),
    "a word in the first line": ("O.0\n15\n30", 3, "expected 3 rows of 1 numbers, found 2 of 1 in lines 2 to 3"),
    "a short row": ("0 1\n2\n3 4", 3, "line 2: expected 2 numbers, as in line 1, found 1: '2'"),
    "an empty field": ("0;1\n2;\n3;4", 3, "line 2: expected 2 numbers"),
    "NaN": ("0\nnan\n2", 3, "line 2: expected finite numbers"),
    "two columns, no index": ("0.5 1\n1.5 2\n2.5 3", 3, "expected 3 rows of 1 numbers, found 3 of 2 in lines 1 to 3"),
    "an index of decimals": ("0.0 5\n1.0 6\n2.0 7", 3, "expected 3 rows of 1 numbers"),
    "thousands": ("1.000,5\n2.000,5", 2, "expected 2 rows of 1 numbers, found 2 of 2"),
    "names in another order": ("v2.tif 0\nv1.tif 15\nv3.tif 30", 3, "expected v1.tif in row 1, found v2.tif"),
    "rows that do not go on": ("0 15\n90 105", 4, "expected 4 rows of 1 numbers, found 2 of 2"),
    "radians behind the numbers": ("0 rad\n1 rad\n2 rad", 3, "expected degrees, .* found radians"),
    "one row more": ("24\n0\n15\n30", 3, "expected 3 rows of 1 numbers, found 4 of 1 in lines 1 to 4.*header"),
    "no numbers": ("angle\n", 3, "line 1: expected numbers, found 'angle'"),
    "Python's digits": ("1_0\n2_0", 2, "line 1: expected numbers, found '1_0'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_angles_names_the_line(tmp_path, name):
    text, rows, found = REFUSED[name]
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=f"a.txt.*{found}"):
        read_rows(tmp_path / "a.txt", rows, 1, ANGLE, "degrees")


def test_rows_that_go_on_in_the_next_line(tmp_path):
    (tmp_path / "a.txt").write_text("0 15 30\n45 60 75")
    np.testing.assert_array_equal(read_rows(tmp_path / "a.txt", 6, 1, ANGLE), np.arange(6) * 15.0)


@pytest.mark.parametrize(
    ("header", "unit", "other"),
    [
        ("Angle (rad)", "degrees", "radians"),
        ("# angle_deg", "radians", "degrees"),
        ("no;Angle [\N{DEGREE SIGN}]", "radians", "degrees"),
        ("axis shift [\N{MICRO SIGN}m]", "mm", "um"),
        ("height / mm", "um", "mm"),
        ("height (m)", "mm", "m"),
    ],
)
def test_a_header_of_another_unit(tmp_path, header, unit, other):
    for encoding in ("utf-8", "latin-1"):
        rows = [f"{k};{k / 2}" if ";" in header else f"{k / 2}" for k in range(4)]
        (tmp_path / "a.txt").write_bytes("\n".join([header, *rows]).encode(encoding))
        with pytest.raises(InputError, match=f"expected {unit}, as .*_unit in scan.yaml says, found {other} in the header"):
            read_rows(tmp_path / "a.txt", 4, 1, ANGLE, unit)
        np.testing.assert_array_equal(read_rows(tmp_path / "a.txt", 4, 1, ANGLE, other), np.arange(4) / 2)


def test_vectors_of_twelve_numbers(tmp_path):
    table = np.round(np.random.default_rng(0).normal(size=(4, 12)) * 100, 3)
    texts = [";".join, ",".join, "\t".join, lambda words: "; ".join(word.replace(".", ",") for word in words)]
    for join in texts:
        (tmp_path / "v.csv").write_text("\n".join(join([f"{value:.3f}" for value in row]) for row in table))
        np.testing.assert_array_equal(read_rows(tmp_path / "v.csv", 4, 12), table)


values = st.lists(st.decimals(-400, 400, places=2).map(float), min_size=2, max_size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    angles=values,
    decimal=st.sampled_from(".,"),
    places=st.integers(2, 5),
    index=st.sampled_from([None, 0, 1]),
    gap=st.sampled_from([" ", "\t", ";", "; ", ","]),
    header=st.sampled_from(["", "angle\n", "# angle\n", "nr{}angle\n"]),
)
def test_any_notation_is_read_right_or_refused(tmp_path, angles, decimal, places, index, gap, header):
    rows = [f"{angle:.{places}f}".replace(".", decimal) for angle in angles]
    if index is not None:
        rows = [f"{k}{gap}{row}" for k, row in enumerate(rows, index)]
    (tmp_path / "a.txt").write_text(header.format(gap) + "\n".join(rows))
    try:
        np.testing.assert_array_equal(read_rows(tmp_path / "a.txt", len(angles), 1, ANGLE), angles)
    except InputError as error:
        assert decimal == "," and (gap == "," or header.startswith("nr")), error  # 1,0,50 is no number; 0,50 may be nr and angle


def test_texts_that_are_none():
    for content, found in (
        (b"angle\n\xff\xfe", "line 2: expected text in UTF-8, found byte ff at position 6"),
        (b"a\0\1", "found a zero byte"),
    ):
        with pytest.raises(InputError, match=found):
            decoded(content, "x")
    assert decoded(b"Angle (\xb0)\n1", "x", single_bytes=True) == "Angle (\N{DEGREE SIGN})\n1"


@given(
    st.text(st.characters(exclude_characters="\0\r\ufeff", exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]),
)
def test_any_text_with_a_mark_comes_back(text, encoding):
    assert decoded(text.encode(encoding), "x") == text


def test_yaml_of_any_encoding(tmp_path):
    content = {"name": "Schädel", "angles": {"step": 1.5}}
    for encoding, ends in itertools.product(ENCODINGS, ("\n", "\r\n", "\r")):
        text = "name: Sch\N{LATIN SMALL LETTER A WITH DIAERESIS}del\nangles:\n  step: 1.5\n".replace("\n", ends)
        (tmp_path / "scan.yaml").write_bytes(text.encode(encoding))
        assert read_yaml(tmp_path / "scan.yaml") == content, encoding


def test_a_table_of_unknown_shape(tmp_path):
    (tmp_path / "t.txt").write_text("1, 2\n3, 4")
    np.testing.assert_array_equal(read_table(tmp_path / "t.txt"), [[1, 2], [3, 4]])
