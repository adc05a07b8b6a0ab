"""Files of NAF, SAX-NeRF, X2 and R2-Gaussian: a ball comes out where it was, and broken or hostile files are refused."""

from __future__ import annotations

import copy
import json
import os
import pickle
import pickletools

import foreign
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.datasets.naf import NafParams
from benchmark.datasets.naf.scan import load
from benchmark.datasets.r2 import R2Params
from benchmark.datasets.r2.scan import load as load_r2
from benchmark.errors import InputError
from benchmark.exchange.naf import read_naf
from benchmark.exchange.r2 import read_r2
from benchmark.files.pickles import read_plain_pickle

VOXEL = 7.0  # [mm]


def check_ball(case, length=1.0, density=foreign.MU / 1000):
    """Truth and reconstruction have the ball's centre of mass and density; held-out views agree with the truth's geometry."""
    expected = np.array(foreign.CENTRE) * length
    np.testing.assert_allclose(foreign.centre_of_mass(case.truth, case.scan), expected, atol=0.05 * VOXEL * length)
    assert case.truth.max() == pytest.approx(density, rel=1e-3)
    volume = foreign.reconstructed(case.scan)
    np.testing.assert_allclose(foreign.centre_of_mass(volume, case.scan), expected, atol=0.1 * VOXEL * length)
    assert np.median(volume[case.truth > 0.99 * density]) == pytest.approx(density, rel=0.05)


@pytest.mark.parametrize("order", ["naf", "r2"])
def test_the_ball_of_a_naf_file_comes_out_where_it_was(tmp_path, order):
    path = foreign.write_naf(tmp_path / "ball_50.pickle", order=order)
    case = load(NafParams(path=str(path), views=30, size=28))
    assert case.name == "ball_50" and case.scan.geometry.volume_shape == (24, 28, 26)
    assert case.scan.projections.shape == (30, foreign.ROWS, foreign.COLUMNS)
    assert case.heldout.projections.shape[0] == 7 and case.heldout_views == tuple(range(30, 37))
    check_ball(case)


def test_a_parallel_beam_is_the_limit_of_a_far_source(tmp_path):
    path = foreign.write_naf(tmp_path / "ball.pickle", parallel=True)
    check_ball(load(NafParams(path=str(path), views=30, size=28)))


def test_the_other_sense_of_a_vertical_offset(tmp_path):
    path = foreign.write_naf(tmp_path / "ball.pickle")
    down, up = read_naf(path).geometry, read_naf(path, "generator").geometry
    assert down.detector_offset == (14.0, 9.0) and up.detector_offset == (-14.0, 9.0)


@pytest.mark.parametrize("real", [False, True])
def test_the_ball_of_an_r2_folder_comes_out_where_it_was(tmp_path, real):
    folder = foreign.write_r2(tmp_path / "ball_cone", real=real)
    case = load_r2(R2Params(path=str(folder), views=30, size=28))
    assert case.scan.length_unit == "unit" and case.heldout_views == tuple(range(30, 35))
    check_ball(case, length=1 / 84, density=foreign.MU)


def test_views_of_an_r2_folder(tmp_path):
    folder = foreign.write_r2(tmp_path / "ball_cone")
    with pytest.raises(ValidationError, match="views: expected 1 .. 30 views, found 31"):
        R2Params(path=str(folder), views=31)


def test_views_of_a_naf_file(tmp_path):
    path = foreign.write_naf(tmp_path / "ball.pickle")
    few = load(NafParams(path=str(path), views=10, size=8, heldout=3))
    assert few.training_views == tuple(range(0, 30, 3)) and len(few.heldout_views) == 3 and min(few.heldout_views) >= 30
    with pytest.raises(InputError, match="views: expected 1 .. 30 views, found 50"):
        load(NafParams(path=str(path)))
    content = foreign.naf_content()
    del content["val"]
    path.write_bytes(pickle.dumps(content))
    case = load(NafParams(path=str(path), views=10, size=8, heldout=5))
    assert len(case.heldout_views) == 5 and not set(case.heldout_views) & set(case.training_views)


def test_a_file_is_published_data_if_its_owner_says_so_and_all_of_it_is_used(tmp_path):
    path, folder = foreign.write_naf(tmp_path / "chest_50.pickle"), foreign.write_r2(tmp_path / "ball")
    whole = {"path": str(path), "views": 30, "size": 28, "bin": 1, "heldout": 3}
    named = load(NafParams(**whole, published="chest"))
    assert named.facts == {"published": {"data": "sax", "scene": "chest"}}
    silent = load(NafParams(**whole))
    assert silent.facts == {} and silent.digest != named.digest
    for less in ({"views": 15}, {"size": 14}, {"bin": 2}):
        assert load(NafParams(**{**whole, **less}, published="chest")).facts == {}
    case = load_r2(R2Params(path=str(folder), views=30, size=28, bin=1, published="0_ball"))
    assert case.facts == {"published": {"data": "r2", "scene": "0_ball"}}


def test_x2_time_and_phase_reach_the_scan(tmp_path):
    content = foreign.naf_content()
    for part, count in (("train", 30), ("val", 7)):
        content[part]["time"], content[part]["phase"] = np.arange(count) * 0.5, (np.arange(count) % 10).tolist()
    path = tmp_path / "x2.pickle"
    path.write_bytes(pickle.dumps(content))
    case = load(NafParams(path=str(path), views=10, size=8, heldout=2))
    np.testing.assert_array_equal(case.scan.view_labels["time"], np.arange(0, 30, 3) * 0.5)
    np.testing.assert_array_equal(case.scan.view_labels["phase"], np.arange(0, 30, 3) % 10)
    assert set(case.heldout.view_labels) == {"time", "phase"}
    content["val"]["phase"] = [1, 2]
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match="val.phase: expected 7 numbers"):
        read_naf(path)


def test_optional_keys_and_every_protocol(tmp_path):
    needed = ("DSD", "DSO", "dDetector", "nVoxel", "dVoxel", "train")
    content = {key: value for key, value in foreign.naf_content(order="naf").items() if key in needed}
    wanted = read_naf(foreign.write_naf(tmp_path / "all.pickle", offOrigin=[0, 0, 0], offDetector=[0, 0]))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / "few.pickle"
        path.write_bytes(pickle.dumps(content, protocol))
        measured = read_naf(path)
        assert measured.truth is None and measured.heldout is None
        assert measured.geometry == wanted.geometry.subset(range(30))
        np.testing.assert_array_equal(measured.view(3), wanted.view(3))


def test_arrays_of_every_kind_survive(tmp_path):
    arrays = {
        "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "big": np.arange(5, dtype=">f4"),
        "whole": np.arange(4, dtype=np.int16),
        "zero": np.zeros((0, 3)),
        "one": np.float32(2.5),
        "strided": np.arange(12.0)[::-2],
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / "x.pickle"
        text = pickle.dumps(arrays, protocol)
        texts = [text, text.replace(b"numpy._core", b"numpy.core")] if protocol < 4 else [text]  # later ones store lengths
        for text in texts:
            path.write_bytes(text)
            found = read_plain_pickle(path)
            assert found["one"] == 2.5
            for name in set(arrays) - {"one"}:
                np.testing.assert_array_equal(found[name], arrays[name])
                assert found[name].dtype == arrays[name].dtype


# -- hostile and broken files ---------------------------------------------------------------------------------------------


class _Calls:
    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def _memo_bomb() -> bytes:
    return b"\x80\x02" + b"Nr\xff\xff\xff\x7f" + b"."


def _size_bomb() -> bytes:
    """An array of 10^15 numbers in a hundred bytes."""
    text = pickle.dumps({"a": np.zeros(3, dtype=np.uint8)}, 2)
    return text.replace(b"K\x03\x85", b"\x8a\x07\x00\x00\xc6\xa4\x7e\x8d\x03\x85", 1)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (pickle.dumps({"a": _Calls(os.system, "touch HACKED")}), "the name posix.system"),
        (pickle.dumps(_Calls(eval, "open('HACKED', 'w')")), "the name builtins.eval"),
        (b"cos\nsystem\n(S'touch HACKED'\ntR.", "the name os.system"),
        (b"(S'touch HACKED'\nios\nsystem\n.", "the name os.system"),
        (pickle.dumps({"a": np.array([object()])}), "the name builtins.object|an array of objects"),
        (pickle.dumps({"a": np.array([None, 1])}), "an array of objects"),
        (pickle.dumps({"a": np.zeros(2, dtype=[("x", "f4")])}), "a structured NumPy type|an array of type"),
        (pickle.dumps({"a": np.array(["text"])}), "an array of type"),
        (pickle.dumps({"a": {1, 2}}), "a set, or a buffer"),
        (pickle.dumps({1: 2}), "keys that are not strings"),
        (pickle.dumps([1, 2]), "expected a pickled dict, found list"),
        (pickle.dumps({"a": [[[[[[[[1]]]]]]]]}), "nested too deeply"),
        (pickle.dumps({"a": 1})[:-3], "expected an undamaged pickle"),
        (b"nonsense", "expected an undamaged pickle"),
        (b"", "expected an undamaged pickle"),
        (_memo_bomb(), "expected a pickled dict, found NoneType"),
        (_size_bomb(), "10{10,}|The file is cut off|undamaged"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x00.", "undamaged"),
    ],
)
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path, monkeypatch, content, found):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pickle"
    path.write_bytes(content)
    with pytest.raises(InputError, match=found) as caught:
        read_plain_pickle(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "HACKED").exists()


def test_every_name_that_is_allowed_is_harmless():
    """The reader's names stand for this module's own functions: nothing of NumPy or the interpreter is called."""
    from benchmark.files import pickles

    assert {value.__module__ for value in pickles._NAMES.values()} == {"benchmark.files.pickles"}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"DSD": None}, "DSD: expected a length in mm, found None"),
        ({"DSD": "700"}, "DSD: expected a length in mm, found '700'"),
        ({"DSO": float("nan")}, "DSO: expected a length in mm"),
        ({"DSD": 400.0}, "source_to_detector: expected more than source_to_origin"),
        ({"dVoxel": [6, 6, -7]}, "volume_spacing: expected 3 positive numbers"),
        ({"dVoxel": [6, 6]}, "dVoxel: expected 3 numbers"),
        ({"dDetector": [[1], [2, 3]]}, "dDetector: expected 2 numbers"),
        ({"nVoxel": [28, 26, 24]}, r"image: expected shape \[x, y, z\] = nVoxel"),
        ({"nVoxel": [10**9] * 3, "image": None}, "image: expected an array"),
        ({"nDetector": [7, 9]}, "nDetector: expected 36 and 30"),
        ({"mode": "fan"}, "mode: expected 'cone' or 'parallel'"),
        ({"train": {}}, "train: expected angles and projections"),
        ({"train": {"angles": np.zeros(3), "projections": np.zeros((4, 5, 6))}}, "train.angles: expected 4 angles"),
        ({"train": {"angles": np.zeros(4), "projections": np.full((4, 30, 36), np.nan)}}, "train.projections: expected finite"),
        ({"val": {"angles": np.zeros(4), "projections": np.zeros((4, 5, 6))}}, "val.projections: expected the shape of the training"),
        ({"train": {"angles": np.zeros(1), "projections": np.zeros((5, 6))}}, r"train.projections: expected an array \[view, row"),
    ],
)
def test_a_naf_file_with_a_mistake(tmp_path, changes, found):
    path = foreign.write_naf(tmp_path / "x.pickle", **changes)
    with pytest.raises(InputError, match=found):
        read_naf(path)
    content = foreign.naf_content()
    del content["dVoxel"]
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match="dVoxel: expected this key, found only DSD"):
        read_naf(path)


SMALL = foreign.naf_content(count=2)
SMALL["image"] = SMALL["image"][::13, ::14, ::12]
SMALL.update(nVoxel=[2, 2, 2], train={k: v[:2] for k, v in SMALL["train"].items()}, val={k: v[:1] for k, v in SMALL["val"].items()})
SMALL["train"]["projections"], SMALL["val"]["projections"] = (SMALL[k]["projections"][:, ::15, ::18] for k in ("train", "val"))
SMALL["nDetector"] = [2, 2]


def mangled(content: bytes, draw_cuts: list[tuple[int, int]], end: int | None) -> bytes:
    """Some bytes changed, and cut off at `end`."""
    changed = bytearray(content)
    for place, value in draw_cuts:
        changed[place % len(changed)] = value
    return bytes(changed if end is None else changed[: end % (len(changed) + 1)])


damage = st.tuples(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), st.none() | st.integers(0, 10**6))


def fuzz_pickle(tmp_path, harm):
    path = tmp_path / "x.pickle"
    path.write_bytes(mangled(pickle.dumps(SMALL, 3), *harm))
    try:
        measured = read_naf(path)
        measured.view(0)
        assert measured.geometry.views <= 3
    except InputError as error:
        assert str(path) in str(error) or "geometry" in str(error)


shared = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@settings(shared, max_examples=200)
@given(harm=damage)
def test_a_damaged_pickle_is_one_clear_error(tmp_path, harm):
    fuzz_pickle(tmp_path, harm)


@pytest.mark.slow
@settings(shared, max_examples=20_000)
@given(harm=damage)
def test_many_damaged_pickles(tmp_path, harm):
    fuzz_pickle(tmp_path, harm)


@settings(shared, max_examples=200)
@given(harm=damage)
def test_opcodes_in_any_order_are_one_clear_error(tmp_path, harm):
    """Whatever opcodes: an error or plain values."""
    codes = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]
    text = b"\x80\x02" + b"".join(codes[value % len(codes)] + bytes([place % 7]) for place, value in harm[0] * 5) + b"."
    (tmp_path / "x.pickle").write_bytes(text)
    with pytest.raises(InputError):
        read_plain_pickle(tmp_path / "x.pickle")


# -- R2 folders --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def r2(tmp_path):
    return foreign.write_r2(tmp_path / "case")


def edit(folder, change):
    meta = json.loads((folder / "meta_data.json").read_text())
    change(meta)
    (folder / "meta_data.json").write_text(json.dumps(meta))


@pytest.mark.parametrize("path", ["../../secret.npy", "/etc/passwd", "..\\..\\secret.npy", "C:\\secret.npy", "", 5, "a\0b"])
@pytest.mark.parametrize("key", ["proj_train", "vol"])
def test_no_path_leads_out_of_the_folder(r2, path, key):
    def change(meta):
        if key == "vol":
            meta["vol"] = path
        else:
            meta[key][0]["file_path"] = path

    edit(r2, change)
    with pytest.raises(InputError, match="meta_data.json: .*expected a file inside the folder"):
        read_r2(r2)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda meta: meta.pop("scanner"), "scanner: expected the scanner's keys"),
        (lambda meta: meta.pop("proj_train"), "proj_train: expected a list"),
        (lambda meta: meta.update(proj_train=[]), "proj_train: expected at least one projection"),
        (lambda meta: meta["proj_train"][3].pop("angle"), r"proj_train\[3\]: expected file_path and angle"),
        (lambda meta: meta["proj_train"][3].update(angle="x"), "angle: expected 1 finite number"),
        (lambda meta: meta["proj_train"][3].update(angle=float("nan")), "angle: expected 1 finite number"),
        (lambda meta: meta["scanner"].pop("DSO"), "DSO: expected 1 finite number, found None"),
        (lambda meta: meta["scanner"].update(sVoxel=[1, -1, 1]), "volume_spacing: expected 3 positive"),
        (lambda meta: meta["scanner"].update(nVoxel=[0, 1, 1]), "positive nDetector and nVoxel"),
        (lambda meta: meta["scanner"].update(nDetector=[1.5, 3]), "detector_shape: expected 2 positive whole numbers"),
        (lambda meta: meta["scanner"].update(mode="fan"), "scanner.mode"),
        (lambda meta: meta["scanner"].update(DSD=10**400), "DSD: expected 1 finite number"),
    ],
)
def test_an_r2_folder_with_a_mistake(r2, change, found):
    edit(r2, change)
    with pytest.raises(InputError, match=found):
        read_r2(r2)


def test_an_r2_folder_with_broken_arrays(r2):
    measured = read_r2(r2)
    first = r2 / "proj_train" / "proj_train_0000.npy"
    np.save(first, np.zeros((4, 4)))
    with pytest.raises(InputError, match=r"proj_train_0000.npy: expected shape nDetector = \(30, 36\)"):
        measured.view(0)
    np.save(first, np.full((30, 36), np.inf))
    with pytest.raises(InputError, match="expected finite numbers"):
        measured.view(0)
    np.save(first, np.array([None]), allow_pickle=True)
    with pytest.raises(InputError, match="expected an array of real numbers, found type object"):
        measured.view(0)
    first.unlink()
    with pytest.raises(InputError, match="expected a file, found none"):
        measured.view(0)
    np.save(r2 / "vol_gt.npy", np.zeros((3, 3, 3)))
    with pytest.raises(InputError, match="vol_gt.npy: expected shape"):
        measured.truth()
    (r2 / "meta_data.json").write_text("{nonsense")
    with pytest.raises(InputError, match="meta_data.json: expected JSON"):
        read_r2(r2)
    (r2 / "meta_data.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="meta_data.json: expected"):
        read_r2(r2)


@settings(shared, max_examples=200)
@given(data=st.data())
def test_any_value_in_place_of_any_value_of_meta_data(tmp_path, data):
    folder = tmp_path / "case"
    if not folder.exists():
        foreign.write_r2(folder)
        (folder / "good.json").write_text((folder / "meta_data.json").read_text())
    meta = json.loads((folder / "good.json").read_text())
    meta["proj_train"], meta["proj_test"] = meta["proj_train"][:3], meta["proj_test"][:2]
    place = data.draw(st.sampled_from([meta, meta["scanner"], meta["proj_train"][0]]))
    key = data.draw(st.sampled_from(sorted(place)))
    one = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    anything = st.recursive(one, lambda items: st.lists(items, max_size=3), max_leaves=5)
    place[key] = data.draw(anything)
    (folder / "meta_data.json").write_text(json.dumps(copy.deepcopy(meta)))
    try:
        measured = read_r2(folder)
        measured.view(0)
        if measured.truth:
            measured.truth()
    except InputError:
        pass


def test_what_params_refuse():
    with pytest.raises(ValidationError, match="photons"):
        NafParams(path=__file__, photons=1e5)
    with pytest.raises(ValidationError, match="path: expected a file, found 'none', which is not there"):
        NafParams(path="none")
    with pytest.raises(ValidationError, match="meta_data.json: expected a file, found none"):
        R2Params(path="none")
    with pytest.raises(ValidationError, match="path"):
        NafParams()
