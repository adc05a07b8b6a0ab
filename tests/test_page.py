"""The page: what it holds, read as text; and what it does, in a real browser where there is one."""

from __future__ import annotations

import base64
import html.parser
import json
import re
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_results as synthetic
from browser import Browser, find_chromium

from benchmark.records.store import Results, Store
from benchmark.report.canvas import Picture
from benchmark.report.columns import scores
from benchmark.report.images import window
from benchmark.report.page import page, write_page
from benchmark.report.stack import LEVELS, averaged, pack, unpack
from benchmark.report.viewers import LONGEST_EDGE, MOST_VOXELS, block_size


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    """A small sweep with one failure and one skip, and its page."""
    folder = tmp_path_factory.mktemp("results") / "a_sweep"
    synthetic.fill(folder, views=(10, 50), methods=("fdk", "sart", "naf"))
    synthetic.add_failure(folder, log_tail="</script>the last words")
    found = synthetic.add_failure(folder, "tigre_fdk", "needs tigre_<x> & more", "skipped", views=50)
    write_page(found, [])
    return found


@pytest.fixture(scope="module")
def text(results) -> str:
    return (results.folder / "report.html").read_text()


class Reader(html.parser.HTMLParser):
    """Collects what the page refers to, and checks that tags are balanced."""

    VOID = {"meta", "img", "br", "link", "input"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Any] = []
        self.addresses: list[Any] = []
        self.identities: list[Any] = []
        self.rows: list[Any] = []
        self.words = ""

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.addresses += [values[name] for name in ("src", "href") if name in values]
        self.identities += [values["id"]] if "id" in values else []
        if tag == "tr":
            self.rows.append([])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" in self.open or "style" in self.open:
            return
        self.words += data
        if "td" in self.open:
            self.rows[-1].append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


# -- what it holds ------------------------------------------------------------------------------------------------------


def test_packed_numbers_are_right_to_half_a_step_and_cut_outside():
    stack = np.random.default_rng(0).uniform(-1, 2, (3, 4, 5)).astype(np.float32)
    packed = pack(stack, 0.0, 1.0)
    assert packed.step == 1 / (LEVELS - 1)
    np.testing.assert_allclose(unpack(packed), np.clip(stack, 0, 1), atol=packed.step / 2 + 1e-7)
    assert pack(stack, 0.0, 1.0).name == packed.name != pack(stack + 0.1, 0.0, 1.0).name


def test_means_over_blocks():
    stack = np.arange(2 * 4 * 5, dtype=np.float32).reshape(2, 4, 5)
    np.testing.assert_allclose(averaged(stack, (1, 2, 2))[0], [[3, 5], [13, 15]])
    np.testing.assert_array_equal(averaged(stack, (1, 1, 1)), stack)


def test_large_volumes_are_shown_as_means_over_blocks():
    assert block_size([]) == block_size([[64, 64, 64]] * 36) == 1
    for shapes in ([[64, 64, LONGEST_EDGE + 1]], [[128, 128, 128]] * 36, [[512, 512, 512]] * 10):
        factor = block_size(shapes)
        assert factor > 1 and sum(np.prod(np.array(shape) // factor) for shape in shapes) <= MOST_VOXELS


def test_a_column_says_what_it_is():
    names = ["dataset", "fit_ssim_sax", "projection_psnr", "volume_psnr", "volume_psnr_sd", "volume_psnr_r2", "volume_rmse_hu", "seconds"]
    found = [(q.name, q.kind, q.metric, q.protocol) for q in scores(names)]
    assert found == [
        ("volume_psnr", "volume", "psnr", "strict"),
        ("volume_rmse_hu", "volume", "rmse_hu", "strict"),
        ("projection_psnr", "projection", "psnr", "strict"),
        ("fit_ssim_sax", "fit", "ssim", "sax"),
        ("volume_psnr_r2", "volume", "psnr", "r2"),
    ]


def test_the_page_is_whole_and_needs_nothing_else(text):
    reader = read(text)
    assert [address for address in reader.addresses if not address.startswith("#")] == ["data:,"]  # an icon that is not looked for
    assert {address[1:] for address in reader.addresses if address.startswith("#")} <= set(reader.identities)
    assert len(reader.identities) == len(set(reader.identities))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|fetch\(|XMLHttpRequest", text)
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text


def test_the_page_says_what_failed_and_where_numbers_come_from(text):
    assert "needs tigre_&lt;x&gt; &amp; more" in text and "tigre_<x>" not in text  # escaped
    reader = read(text)
    assert any(row[:2] == ["50", "naf"] for row in reader.rows)
    for words in (
        "abc123def456",
        "Test CPU",
        "the numbers it was made of",
        '"iterations": 20',
        "source to axis 500",
        "Volume PSNR [dB], r2",
        "failed: ValueError: diverged",
        "</script>the last words",
        "6 of 8",  # six runs finished
    ):
        assert words in reader.words


def test_equal_stacks_are_written_once(text):
    facts = json.loads(re.search(r'id="facts">(.*?)</script>', text, re.DOTALL).group(1))
    slices, views = facts["viewers"]
    assert [group["name"] for group in slices["groups"]] == ["10 views", "50 views"]
    assert slices["groups"][0]["reference"] == slices["groups"][1]["reference"]  # the same truth
    named = {item["stack"] for viewer in facts["viewers"] for group in viewer["groups"] for item in group["items"]}
    named |= {group["reference"] for viewer in facts["viewers"] for group in viewer["groups"]}
    assert named == set(facts["stacks"]) == set(re.findall(r'id="stack-(\w+)"', text))
    assert len(views["numbers"]) == 4 and "4 of 6 held-out views" in views["note"]


def test_unreadable_records_are_named_on_the_page(tmp_path):
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk",))
    (results.folder_of(results.records[0]) / "attempt-0002.json").write_text("{")
    assert "attempt-0002.json: unreadable record" in page(Results.open(tmp_path), [])


def test_a_folder_without_runs_and_one_with_only_failures_have_a_page(tmp_path):
    Store(tmp_path).prepare()
    assert "none yet" in read(page(Results.open(tmp_path), [])).words
    assert "diverged" in read(page(synthetic.add_failure(tmp_path), [])).words


def test_figures_and_their_files_are_links_that_lead_there(results, tmp_path):
    section = "chest, 28 voxels, no added noise"
    files = [results.folder / "figures" / f"views 1+2.{kind}" for kind in ("png", "svg", "pdf")]
    files[0].parent.mkdir(exist_ok=True)
    for file in files:
        file.write_bytes(b"drawn")
    text = page(results, [Picture(section, "Score against views", "a caption", tuple(files), shown=True)])
    links = [address for address in read(text).addresses if not address.startswith(("#", "data:"))]
    assert links[0] == links[1] == "figures/views%201%2B2.png" and len(links) == 4  # the picture's own, and those of all files
    assert {results.folder / urllib.parse.unquote(link) for link in links} == set(files)


# -- what it does -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tab(results, tmp_path_factory) -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("no Chromium on this machine (set CHROMIUM to the path of one)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    browser.screen(1280, 900)
    browser.open(results.folder / "report.html")
    yield browser
    browser.close()


@pytest.fixture
def viewer(tab) -> Browser:
    """The page with its first viewer unpacked and in sight."""
    tab.value("document.querySelector('.viewer').scrollIntoView()")
    tab.wait("document.querySelector('.viewer').dataset.ready === 'true'")
    tab.value("document.querySelector('.viewer button.plain').click()")  # reset
    tab.frame()
    return tab


def cells(tab: Browser, place: int) -> list[str]:
    """What shows in a column of the first table."""
    rows = "[...document.querySelector('table.sortable').tBodies[0].rows].filter((row) => !row.hidden)"
    return tab.value(f"{rows}.map((row) => row.cells[{place}].textContent)")


def heads(tab: Browser) -> list[str]:
    row = "[...document.querySelector('table.sortable').tHead.rows[0].cells]"
    return tab.value(f"{row}.filter((cell) => !cell.hidden).map((cell) => cell.textContent)")


def found_heading(tab: Browser, text: str) -> str:
    """Marks a heading of the first table as data-found."""
    first = f"[...document.querySelector('table.sortable').tHead.rows[0].cells].find((cell) => cell.textContent === '{text}')"
    tab.value(f"{first}.dataset.found = '{text}'")
    return text


def choose(tab: Browser, selector: str) -> None:
    tab.value(f"document.querySelector(`{selector}`).click()")
    tab.frame()


def at(tab: Browser) -> list[int]:
    """The cursor of the first viewer, z y x."""
    return [int(n) for n in tab.value("document.querySelector('.viewer').dataset.at").split(",")]


def pixels(tab: Browser, label: str) -> np.ndarray:
    """The red channel of the first viewer's canvas with this label [row, column]."""
    canvas = f"document.querySelector('.viewer canvas[aria-label=\"{label}\"]')"
    data = "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    height, width, values = tab.value(f"(() => {{ const c = {canvas}; return [c.height, c.width, {data}]; }})()")
    return np.array(values).reshape(height, width, 4)[:, :, 0]


def middle(tab: Browser, label: str) -> tuple[float, float, float, float]:
    """Centre and size of a canvas of the first viewer in the window."""
    return tuple(
        tab.value(
            f"(() => {{ const c = document.querySelector('.viewer canvas[aria-label=\"{label}\"]'); c.scrollIntoView({{block: 'center'}});"
            " const r = c.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2, r.width, r.height]; })()"
        )
    )


def test_it_loads_without_an_error_and_asks_for_nothing(tab, results):
    assert tab.value("document.title") == "a_sweep: results"
    assert set(tab.addresses) <= {(results.folder / "report.html").resolve().as_uri(), "data:,"}
    assert tab.errors == []


def test_a_heading_sorts_by_mouse_and_by_keyboard(tab):
    place = heads(tab).index("Volume PSNR [dB]")
    head = f"document.querySelectorAll('table.sortable th')[{place}]"
    tab.value(f"{head}.querySelector('button').click()")
    values = [float(text.split(" ")[0]) for text in cells(tab, place) if text]
    assert values == sorted(values, reverse=True) and len(values) == 6
    assert tab.value(f"{head}.getAttribute('aria-sort')") == "descending"
    tab.value(f"{head}.querySelector('button').focus()")
    tab.key("Enter")
    assert tab.value(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert cells(tab, place)[:6] == [f"{value:.2f}" for value in sorted(values)] and cells(tab, place)[-1] == ""  # failures last
    assert tab.value("document.querySelectorAll('table.sortable')[0].querySelectorAll('[aria-sort]').length") == 1


def test_the_switches_choose_protocol_metrics_and_views(tab):
    assert "Volume PSNR [dB]" in heads(tab) and "Volume PSNR [dB], r2" not in heads(tab)
    choose(tab, "#switches input[value=r2]")
    assert "Volume PSNR [dB]" not in heads(tab) and "Volume PSNR [dB], r2" in heads(tab)
    choose(tab, "#switches input[value=strict]")
    choose(tab, "#switches input[name=metric][value=ssim]")
    choose(tab, "#switches input[value=fit]")
    assert heads(tab) == ["Views", "Method", "Volume PSNR [dB]", "Held-out PSNR [dB]", "Time [s]", "Peak memory [MiB]", "Runs", "Note"]
    choose(tab, "#switches input[name=views][value='50']")
    assert set(cells(tab, 0)) == {"50"}
    for selector in ("input[name=views][value=all]", "input[name=metric][value=ssim]", "input[value=fit]"):
        choose(tab, f"#switches {selector}")
    assert len(cells(tab, 0)) == 8


def test_cost_and_views_sort_the_smallest_first(tab):
    for heading in ("Peak memory [MiB]", "Views", "Time [s]"):
        choose(tab, f"[data-found='{found_heading(tab, heading)}'] button")
        assert tab.value(f"document.querySelector('[data-found=\"{heading}\"]').getAttribute('aria-sort')") == "ascending"
    place = tab.value("document.querySelector('[data-found=\"Time [s]\"]').cellIndex")
    times = [float(text) for text in cells(tab, place) if text]
    assert times == sorted(times) and times[0] == synthetic.SECONDS["fdk"]


def test_a_tag_hides_other_methods_in_tables_charts_and_images(viewer):
    methods = "[...document.querySelectorAll('tr[data-method]')].filter((row) => !row.hidden).map((row) => row.dataset.method)"
    labels = "[...document.querySelector('.viewer').querySelectorAll('.tile strong')].map((name) => name.textContent)"
    everything = set(viewer.value(methods))
    assert everything == {"fdk", "sart", "naf", "broken", "tigre_fdk"}
    choose(viewer, "#switches input[value=classical]")
    assert set(viewer.value(methods)) == {"fdk", "sart"} and set(viewer.value(labels)) == {"truth", "fdk", "sart"}
    assert viewer.value("document.querySelectorAll('.chart svg[role=img] .mark').length") == 4
    assert viewer.value("[...document.querySelectorAll('.chart .legend button')].filter((one) => !one.hidden).length") == 2
    assert "Shown: 2 of 5 methods, tagged classical." in viewer.value("document.getElementById('filtered').textContent")
    choose(viewer, "#switches input[value=neural]")
    assert set(viewer.value(methods)) == {"fdk", "sart", "naf"}
    choose(viewer, "#defaults")
    assert set(viewer.value(methods)) == everything and viewer.value("document.getElementById('filtered').textContent") == ""
    assert len(viewer.value(labels)) == 4


def test_a_method_leads_to_its_parameters(tab):
    tab.value("document.querySelector('table.sortable td a').click()")
    tab.wait("location.hash.startsWith('#method-')")
    tab.frame()
    target = "document.getElementById(location.hash.slice(1))"
    name = tab.value("document.querySelector('table.sortable td a').textContent")
    assert tab.value(f"{target}.open") and tab.value(f"{target}.querySelector('summary').textContent") == f"Parameters: {name}, revision 1"
    assert '"iterations": 20' in tab.value(f"{target}.textContent")
    tab.value("history.replaceState(null, '', location.pathname)")


def test_order_and_choices_survive_a_reload_and_defaults_forget_them(tab):
    choose(tab, f"[data-found='{found_heading(tab, 'Time [s]')}'] button")
    choose(tab, "#switches input[value=fit]")
    choose(tab, "#switches input[value=neural]")
    choose(tab, ".chart input[value=seconds]")
    before = heads(tab), cells(tab, 1)
    tab.reload()
    assert (heads(tab), cells(tab, 1)) == before and "Fit PSNR [dB]" not in heads(tab)
    assert tab.value("document.querySelector('.chart input[value=seconds]').checked")
    choose(tab, "#defaults")
    tab.reload()
    assert "Fit PSNR [dB]" in heads(tab) and len(cells(tab, 1)) == 8
    assert tab.value("document.querySelectorAll('[aria-sort]').length") == 0


def test_a_browser_that_stores_nothing_shows_the_same_page(tab):
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=refuse)["identifier"]
    tab.reload()
    assert tab.value("(() => { try { localStorage; return false; } catch { return true; } })()")
    choose(tab, "#switches input[value=fit]")
    assert "Fit PSNR [dB]" not in heads(tab) and tab.errors == []
    tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    tab.reload()


def test_the_chart_switches_axes_and_reads_its_points(tab):
    chart = "document.querySelector('.chart')"
    assert tab.value(f"{chart}.querySelectorAll('svg[role=img] .mark').length") == 6
    for axis in ("seconds", "peak_memory_mb", "progress"):
        choose(tab, f".chart input[value={axis}]")
        assert tab.value(f"{chart}.querySelectorAll('svg[role=img] polyline').length") == 3
        assert "NaN" not in tab.value(f"{chart}.innerHTML")
    choose(tab, ".chart input[value=views]")
    tab.value(f"{chart}.querySelector('svg[role=img]').focus()")
    tab.key("ArrowRight")
    assert re.match(r"\w+, 10 views: Volume PSNR \[dB\] \d\d\.\d\d, ", tab.value(f"{chart}.querySelector('.said').textContent"))
    choose(tab, ".chart .legend button")
    assert tab.value(f"{chart}.querySelectorAll('svg[role=img] .mark').length") == 4
    choose(tab, ".chart .legend button")


def test_a_slice_shows_the_stored_numbers_with_the_window_of_the_truth(viewer, results):
    record = next(record for record in results.records if record.spec.method == "naf" and record.views == 10)
    volume, truth = results.volume(record), synthetic.truth()
    low, high = window(truth)
    for plane, image in (("axial", volume[10]), ("coronal", volume[:, 12]), ("sagittal", volume[:, :, 14])):
        expected = np.clip((image[::-1] - low) / (high - low), 0, 1) * 255  # the last row on top
        np.testing.assert_allclose(pixels(viewer, f"naf, {plane}"), expected, atol=1.5)


def test_differences_are_red_where_there_is_too_much(viewer, results):
    choose(viewer, ".viewer input[value=difference]")
    record = next(record for record in results.records if record.spec.method == "fdk" and record.views == 10)
    error = (results.volume(record) - synthetic.truth())[10, ::-1]
    red = pixels(viewer, "fdk, axial, minus truth").astype(float)
    assert red[error < -0.01].max() < 60 < 90 < red[error > 0.01].min()
    assert red[np.abs(error) < 0.0002].min() > 230  # white where it is right
    choose(viewer, ".viewer input[value=image]")


def test_the_wheel_and_the_keys_move_through_slices_of_every_method_at_once(viewer):
    before = {label: pixels(viewer, label) for label in ("truth, axial", "sart, axial")}
    x, y, _, _ = middle(viewer, "truth, axial")
    viewer.mouse("mouseWheel", x, y, deltaX=0, deltaY=100)
    assert at(viewer) == [11, 12, 14]
    assert all((pixels(viewer, label) != image).any() for label, image in before.items())
    viewer.value("document.querySelector('.viewer .tiles').focus()")
    for key in ("PageDown", "ArrowRight", "ArrowUp", "2", "PageUp"):
        viewer.key(key)
    assert at(viewer) == [10, 14, 15]
    np.testing.assert_array_equal(pixels(viewer, "sart, axial"), before["sart, axial"])


def test_a_click_moves_the_cursor_in_all_planes_and_a_slider_says_its_slice(viewer):
    x, y, width, height = middle(viewer, "fdk, coronal")
    place = {"x": x + 0.26 * width, "y": y - 0.26 * height, "button": "left", "clickCount": 1}
    viewer.mouse("mousePressed", buttons=1, **place)
    viewer.mouse("mouseReleased", **place)
    assert at(viewer) == [15, 12, 21]
    assert viewer.value("document.querySelector('.viewer input[type=range]').getAttribute('aria-valuetext')") == "16 of 20"
    assert re.search(r"x 11\.3, y 0\.8, z 11\.0 mm", viewer.value("document.querySelector('.viewer .said').textContent"))


def test_shift_and_drag_changes_the_window_of_all(viewer):
    before = pixels(viewer, "truth, axial").mean()
    x, y, _, _ = middle(viewer, "naf, axial")
    viewer.mouse("mousePressed", x, y, button="left", buttons=1, modifiers=8, clickCount=1)
    viewer.mouse("mouseMoved", x, y + 60, button="left", buttons=1, modifiers=8)
    viewer.mouse("mouseReleased", x, y + 60, button="left", modifiers=8)
    assert pixels(viewer, "truth, axial").mean() > before + 20  # a lower level: brighter
    assert at(viewer) == [10, 12, 14]


def test_another_scan_and_one_plane(viewer):
    before = pixels(viewer, "fdk, axial")
    choose(viewer, ".viewer input[name=viewer-0-group][value='1']")
    viewer.wait("document.querySelector('.viewer strong:nth-of-type(1)') !== null")
    viewer.frame()
    assert (pixels(viewer, "fdk, axial") != before).mean() > 0.2
    choose(viewer, ".viewer input[name=viewer-0-plane][value='0']")
    assert viewer.value("document.querySelectorAll('.viewer')[0].querySelectorAll('canvas').length") == 4
    choose(viewer, ".viewer input[name=viewer-0-plane][value=all]")
    choose(viewer, ".viewer input[name=viewer-0-group][value='0']")
    viewer.frame()


def test_held_out_views_are_shown_as_measured_and_as_rendered(tab, results):
    second = "document.querySelectorAll('.viewer')[1]"
    tab.value(f"{second}.scrollIntoView()")
    tab.wait(f"{second}.dataset.ready === 'true'")
    tab.frame()
    labels = tab.value(f"[...{second}.querySelectorAll('canvas')].map((canvas) => canvas.getAttribute('aria-label'))")
    assert sorted(labels) == ["fdk, view", "measured, view", "naf, view", "sart, view"]
    assert re.match(r"View 1\d, u .* mm", tab.value(f"{second}.querySelector('.said').textContent"))


def test_what_was_never_scrolled_to_is_printed(tab, results):
    blind = tab.call("Page.addScriptToEvaluateOnNewDocument", source="IntersectionObserver = class { observe() {} unobserve() {} }")
    tab.reload()
    ready = "[...document.querySelectorAll('.viewer')].map((viewer) => viewer.dataset.ready === 'true')"
    tab.value("addEventListener('afterprint', () => { window.printed = " + ready + "; })")
    assert tab.value(ready) == [False, False]
    assert tab.printed().startswith(b"%PDF")
    assert tab.value("window.printed") == [True, True]
    canvases = "[...document.querySelectorAll('.viewer canvas')].map((c) => c.getContext('2d').getImageData(0, 0, c.width, c.height).data)"
    shades = tab.value(f"{canvases}.map((data) => new Set(data).size)")
    assert len(shades) == 4 * 3 + 4 and min(shades) > 2  # the truth or the measured views, and three methods: none is blank
    record = next(record for record in results.records if record.spec.method == "naf" and record.views == 10)
    low, high = window(synthetic.truth())
    expected = np.clip((results.volume(record)[10, ::-1] - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(pixels(tab, "naf, axial"), expected, atol=1.5)
    tab.call("Page.removeScriptToEvaluateOnNewDocument", **blind)
    tab.reload()


def test_a_reader_of_dark_pages_prints_a_light_one(tab):
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    tab.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert tab.value("getComputedStyle(document.body).color") == "rgb(29, 33, 38)"
    assert tab.value("getComputedStyle(document.querySelector('.bar')).display") == "none"
    tab.call("Emulation.setEmulatedMedia", media="", features=dark)
    assert tab.value("getComputedStyle(document.body).color") == "rgb(230, 232, 234)"
    tab.screen(1280, 900)


@pytest.mark.parametrize(("level", "strategy"), [(0, 0), (1, zlib.Z_HUFFMAN_ONLY), (6, zlib.Z_FIXED), (9, zlib.Z_RLE), (9, 0)])
def test_the_page_unpacks_at_once_what_zlib_packed(tab, level, strategy):
    values = np.random.default_rng(level).normal(128, 12, 150_000).astype(np.uint8).tobytes() + b"seed" * 5_000 + bytes(9_000)
    packer = zlib.compressobj(level, strategy=strategy)
    packed = base64.b64encode(packer.compress(values) + packer.flush()).decode()
    code = f"inflate(Uint8Array.from(atob('{packed}'), (c) => c.charCodeAt(0)), {len(values)})"
    found = tab.value(f"{code}.reduce((sum, value) => (sum * 31 + value) % 1000003, 0)")
    expected = 0
    for value in values:
        expected = (expected * 31 + value) % 1000003
    assert found == expected


def test_a_phone_needs_no_horizontal_scrolling_and_dark_mode_is_dark(viewer):
    viewer.screen(390, 844, phone=True, dark=True)
    viewer.frame()
    assert viewer.value("document.documentElement.scrollWidth") == 390
    red, green, blue = map(int, re.findall(r"\d+", viewer.value("getComputedStyle(document.body).backgroundColor")))
    assert max(red, green, blue) < 60
    viewer.screen(1280, 900)


def test_every_control_has_a_name_and_nothing_was_logged(viewer):
    unnamed = (
        "[...document.querySelectorAll('button, input, select, [tabindex]')].filter((node) => "
        "!(node.getAttribute('aria-label') || node.textContent.trim()"
        " || [...(node.labels || [])].some((label) => label.textContent.trim()))).map((node) => node.outerHTML.slice(0, 80))"
    )
    assert viewer.value(unnamed) == []
    assert viewer.errors == []


def test_the_pictures_of_a_reader_are_kept_where_asked(tab, tmp_path):
    """Not a check of looks, which are for eyes: only that a picture can be taken."""
    tab.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 5000


def test_the_parts_of_the_page_are_files_of_their_own(text):
    web = Path(__file__).parents[1] / "benchmark" / "report" / "web"
    for path in web.iterdir():
        if path.suffix in (".js", ".css") and path.name != "live.js":  # of the page of a sweep under way
            assert path.read_text().strip() in text
