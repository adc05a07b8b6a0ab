"""The static site: what it shows, that it needs nothing, and that nothing of a stranger's results runs or leaves its page."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import Browser, find_chromium
from synthetic_results import add_failure, fill

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.plugins.registry import registry
from benchmark.records.results import Results
from benchmark.sharing.publish import publish
from benchmark.sharing.tame import clean, file_names
from benchmark.storage import litter
from benchmark.storage.checked_json import read_checked, with_digest

SHAPE = (8, 9, 10)
EVIL = (
    '</script><script>window.hacked = 1</script>"><img src=x onerror="window.hacked = 2">',
    "javascript:window.hacked=3",
    "../../..\\..\\evil",
    "=HYPERLINK(0){{ 7 * 191 }}{% raw %}",
    "\u202egnp.x\x00\x1b[31m",
    "A" * 100_000,
    "",
)


class Reader(HTMLParser):
    """Collects elements, links and identities of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.names: list[str] = []
        self.handlers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            self.handlers += [name] if name.startswith("on") or name == "style" else []
            self.links += [value or ""] if name == "href" and tag == "a" else []
            self.names += [value or ""] if name == "id" else []
            self.sources += [value or ""] if name in ("src", "srcset", "action", "data") or (name == "href" and tag != "a") else []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of two folders: three cases, three methods, a failure."""
    folder = tmp_path_factory.mktemp("published")
    plugin = {"distribution": "own-ct", "version": "1.2", "module": "own_ct.solve", "digest": "0123456789abcdef"}
    fill(folder / "a", ("chest", "abdomen"), (10,), ("fdk", "naf"), shape=SHAPE, plugin=plugin, tags=("classical",))
    fill(folder / "b", ("walnut",), (10,), ("fdk", "naf"), shape=(8, 9, 11), plugin={**plugin, "digest": "fedcba9876543210"})
    add_failure(folder / "b", shape=SHAPE)
    assert main(["publish", str(folder / "a"), str(folder / "b"), "--output", str(folder / "site"), "--title", "Ours & theirs"]) == 0
    return folder / "site"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("needs Chromium")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def page(site: Path, name: str) -> str:
    return (site / name).read_text(encoding="utf-8")


def test_an_index_a_page_for_each_method_and_each_case(site):
    cases, methods = ("abdomen", "chest", "walnut"), ("broken", "fdk", "naf")
    pages = {"index.html", *(f"case-{name}.html" for name in cases), *(f"method-{name}.html" for name in methods)}
    assert {path.name for path in site.iterdir()} == {*pages, "runs.csv", "site.json"}
    assert len(pd.read_csv(site / "runs.csv")) == 7
    index = page(site, "index.html")
    assert "<title>Ours &amp; theirs</title>" in index and "Leaderboard: 10 views" in index and "missing: abdomen (not run)" in index
    for name in pages:
        reader = Reader(page(site, name))
        assert all((site / link).exists() or link.removeprefix("#") in reader.names for link in reader.links)
        assert all(source.startswith("data:") for source in reader.sources) and reader.handlers == []
    assert {f"method-{name}.html" for name in methods} | {f"case-{name}.html" for name in cases} <= set(Reader(index).links)


def test_a_method_has_its_provenance_and_its_numbers(site):
    text = page(site, "method-fdk.html")
    spec = registry().methods["fdk"]
    for words in (
        spec.cite,
        "0123456789abcdef",
        "fedcba9876543210",
        "from 2 states of the code",
        "Test CPU",
        "own_ct.solve",
        "&#34;iterations&#34;: 20",
    ):
        assert words in text or words.replace("'", "&#39;") in text, words
    for name in ("chest", "abdomen", "walnut"):
        assert f'<a href="case-{name}.html">{name}</a>' in text
    assert "ValueError: diverged" in page(site, "method-broken.html")


def test_a_case_has_licence_facts_tables_and_slices_made_from_arrays(site):
    text = page(site, "case-walnut.html")
    assert registry().datasets["walnut"].licence in text and "20 x 24" not in text and "8 x 9 x 11 voxels" in text
    assert '<a href="method-naf.html">naf</a>' in text and 'id="stack-' in text


def test_published_again_pages_that_are_no_more_go_and_nothing_else_is_touched(site, tmp_path):
    again = tmp_path / "site"
    shutil.copytree(site, again)
    (again / "robots.txt").write_text("mine")
    fill(tmp_path / "c", ("chest",), (10,), ("fdk",), shape=SHAPE)
    publish([tmp_path / "c"], again, registry())
    assert {path.name for path in again.iterdir()} == {
        "index.html",
        "case-chest.html",
        "method-fdk.html",
        "runs.csv",
        "site.json",
        "robots.txt",
    }
    assert "chest, 10 voxels" in page(again, "index.html")  # of one case there is no leaderboard: its summary
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        publish([tmp_path / "c"], tmp_path / "papers", registry())
    (again / "site.json").write_text(json.dumps({"files": ["../c/evil.html", "/etc/hosts.html", "old.html"]}))
    (tmp_path / "c" / "evil.html").write_text("stays")
    publish([tmp_path / "c"], again, registry())
    assert (tmp_path / "c" / "evil.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "papers", "site"]  # no scratch


def test_what_a_killed_publication_left_goes_and_messages_name_the_folder(tmp_path, monkeypatch):
    results = fill(tmp_path / "mine", ("chest",), (10,), ("fdk",), shape=SHAPE)
    (results.folder_of(results.records[0]) / "checkpoint.pt").symlink_to(tmp_path)
    dead = tmp_path / f".seed-{litter.machine()}-{os.getpid():x}-1-abcdef-publish"  # another start: another process
    (dead / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine")
    published = publish([Path()], tmp_path / "site", registry())
    assert published.problems == [f"mine/runs/{results.records[0].run_id}/checkpoint.pt: not a plain file. It is left out."]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "site"]
    assert "<title>mine</title>" in page(tmp_path / "site", "index.html")


def test_damaged_and_linked_files_are_named_and_not_shown(tmp_path):
    results = fill(tmp_path / "a", ("chest",), (10,), ("fdk", "naf"), shape=SHAPE)
    first, second = (results.volume_path(record) for record in results.records)
    first.write_bytes(b"nothing")
    second.rename(tmp_path / "private.nii.gz")
    second.symlink_to(tmp_path / "private.nii.gz")
    published = publish([tmp_path / "a"], tmp_path / "site", registry())
    assert len(published.problems) == 2 and all(str(tmp_path) not in text for text in published.problems)
    assert '"items":[]' in page(tmp_path / "site", "case-chest.html") or '"viewers":[]' in page(tmp_path / "site", "case-chest.html")


def hostile(folder: Path) -> None:
    """Results whose every word is meant to escape."""
    results = fill(folder, ("chest",), (10,), ("fdk",), shape=SHAPE)
    (record,) = results.records
    place = results.folder_of(record)
    values: dict[str, Any] = read_checked(place / "attempt-0001.json")
    for number, evil in enumerate(EVIL):
        mine = json.loads(json.dumps(values))
        mine["run_id"] = f"run-{number}"
        mine["spec"] |= {"method": evil, "dataset": evil, "preset": evil, "method_params": {evil[:500]: evil, "n": 1e308}}
        mine["spec"]["dataset_params"] |= {"path": evil}
        mine |= {"case": evil, "engine": evil, "device": evil, "tags": [evil], "log_tail": evil, "command": evil, "started": evil}
        mine |= {
            "environment": {evil[:500]: evil},
            "plugin": {"digest": evil, evil[:500]: evil},
            "pretrained": {evil[:500]: evil},
            "info": {"a": evil},
        }
        mine["metrics"] |= {f"volume_{evil[:500]}": 1e308, "volume_more": "NaN", "volume_psnr": 1e300}
        mine["curve"][:0] = [{"step": 1, "seconds": 1e300, "volume_psnr": -1e300}]
        if number % 3 == 2:
            mine |= {"status": "failed", "reason": evil}
        (folder / "runs" / mine["run_id"]).mkdir()
        (folder / "runs" / mine["run_id"] / "attempt-0001.json").write_text(with_digest(mine))
        shutil.copy(place / "volume.nii.gz", folder / "runs" / mine["run_id"] / "volume.nii.gz")
    (case,) = (folder / "cases").iterdir()
    facts = read_checked(case / "case.json")
    facts |= {"name": EVIL[0], "truth_note": EVIL[0], "notes": list(EVIL), "part": EVIL[2]}
    (case / "case.json").write_text(with_digest(facts))


def test_nothing_of_a_strangers_results_runs_or_escapes(tmp_path, browser):
    hostile(tmp_path / "a")
    assert len(Results.open(tmp_path / "a").records) == len(EVIL) + 1
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    published = publish([tmp_path / "a"], tmp_path / "site", registry(), title=EVIL[0])
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.parent for path in written} == {tmp_path / "site"}
    assert all(re.fullmatch(r"[a-z0-9-]{1,90}\.(html|csv|json)", path.name) for path in written)
    assert not any("could not be made" in text for text in published.problems)
    own = {"script": 1, "style": 1}
    browser.screen(1280, 900)
    for path in sorted(written):
        if path.suffix != ".html":
            continue
        text = path.read_text(encoding="utf-8")
        reader = Reader(text)
        packed = text.count('<script type="text/plain" id="stack-') + text.count('<script type="application/json" id="facts">')
        assert reader.tags.count("script") == own["script"] + packed and reader.tags.count("style") == own["style"]
        assert not {"iframe", "object", "embed", "base", "form"} & set(reader.tags)
        assert all(re.fullmatch(r"(#[\w-]+|[a-z0-9-]+\.(html|csv))", link) for link in reader.links) and reader.handlers == []
        assert all(source.startswith("data:") for source in reader.sources)
        assert "1337" not in text and "\u202e" not in text and "\x00" not in text and "A" * 5000 not in text
        browser.open(path)
        browser.frame()
        assert browser.value("typeof window.hacked") == "undefined", path.name
        assert browser.value("document.documentElement.scrollWidth") <= 1280, path.name
    assert browser.errors == []
    assert all(address.startswith(((tmp_path / "site").resolve().as_uri(), "data:image/png")) for address in browser.addresses)
    for line in (tmp_path / "site" / "runs.csv").read_text(encoding="utf-8").splitlines():
        assert not line.startswith("=") and ",=HYPERLINK" not in line and len(line) < 20_000


def test_the_policy_stops_what_would_run(site, browser):
    browser.open(site / "index.html")
    browser.value(
        """document.body.insertAdjacentHTML("beforeend", '<img src="data:x" onerror="window.hacked = 5"><img src="https://example.invalid/x.png">')"""
    )
    browser.value("{ const s = document.createElement('script'); s.textContent = 'window.hacked = 6'; document.body.append(s); }")
    browser.frame()
    assert browser.value("typeof window.hacked") == "undefined"
    blocked = [text for text in browser.errors if "Content Security Policy" in text]
    browser.errors.clear()
    assert len(blocked) >= 3  # the handler, the script, the picture of another host


@pytest.mark.parametrize(
    "screen", [{"width": 1280, "height": 900}, {"width": 390, "height": 800, "phone": True}, {"width": 800, "height": 600, "dark": True}]
)
def test_pages_work_from_files_on_any_screen(site, browser, screen):
    browser.screen(**screen)
    for name in ("index.html", "method-naf.html", "case-chest.html"):
        browser.open(site / name)
        assert browser.value("document.documentElement.scrollWidth") <= screen["width"]
        colour = browser.value("getComputedStyle(document.body).backgroundColor")
        assert (colour == "rgb(20, 23, 26)") == bool(screen.get("dark"))
    browser.value("document.querySelector('[data-viewer]').scrollIntoView()")
    browser.wait("document.querySelector('[data-viewer]').dataset.ready === 'true'")
    assert browser.value("document.querySelectorAll('.chart svg').length") >= 1
    browser.open(site / "index.html")
    browser.value("document.querySelectorAll('thead button')[2].click()")  # scripts of its own run: tables sort
    assert browser.value("document.querySelectorAll('th[aria-sort]').length") == 1
    browser.value("document.querySelector('a[href=\"method-naf.html\"]').click()")
    browser.wait("location.pathname.endsWith('/method-naf.html') && document.readyState === 'complete'")
    assert browser.errors == []


def test_covers_are_pictures_of_the_arrays(site):
    import io

    from PIL import Image

    (first, *_) = re.findall(r'src="data:image/png;base64,([^"]+)"', page(site, "index.html"))
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(first))))
    assert picture.shape == SHAPE[1:] and picture.min() == 0 and picture.max() == 255


def test_names_become_file_names_that_differ(tmp_path):
    names = file_names("method", ["A B", "a-b", "con", "", "ä", "ö", "x" * 300, "x" * 301])
    assert names["A B"] == "method-a-b.html" and len({name.lower() for name in names.values()}) == 8
    assert all(re.fullmatch(r"method-[a-z0-9-]{1,80}\.html", name) for name in names.values())
    names = file_names("method", ["A B", "A B d44362d6", "a-b", "A-B"])  # the second imitates the third with its digest
    assert hashlib.sha256(b"a-b").hexdigest().startswith("d44362d6") and len(set(names.values())) == 4
    assert clean("b\u202ed\x07", 100) == "b\ufffdd\ufffd" and clean("x" * 300, 100) != clean("x" * 299 + "y", 100)
    assert len(clean("x" * 300, 100)) <= 102
