"""The page of an incident, and that of a rehearsal, as a browser shows them: on three widths, on paper, in the dark, in Japanese.

ATFTCTL_SCREENSHOTS=folder keeps the pictures.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atftctl.cli.render import drill_page
from atftctl.domain.result import Result
from atftctl.operations.drill.outcome import DrillData, Rehearsed
from atftctl.operations.drill.timeline import Timeline
from atftctl.operations.project import open_to_look
from atftctl.operations.report.incident import incident
from atftctl.operations.report.incident_data import IncidentData
from atftctl.protocol import Exit
from tests.support.incidents import rewrite, roll_back, rows
from tests.support.metrics import row
from tests.support.projects import Project, make_project

EVIL = "<script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\"><style>*{color:red}</style>"
LONG = "x" * 400
KEPT = os.environ.get("ATFTCTL_SCREENSHOTS", "")
# What is wider than the screen, or leaves it.
OVERFLOW = """() => [...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 1 || box.left < -1) && !(e instanceof SVGElement);
}).map(e => e.tagName + ': ' + e.textContent.slice(0, 60))"""
LETTERS = """() => [...document.querySelectorAll('.x span, .y span, figcaption')]
  .map(e => parseFloat(getComputedStyle(e).fontSize))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a project: one in English, one in Japanese, one with hostile and long names, one without metrics."""
    folder = tmp_path_factory.mktemp("pages")
    project = make_project(folder / "project", folder / "violations")
    before = rows(1, 1, 3000)
    before[1500] = row(1501, 1, loss_rel=3.0)
    before[2400:2403] = [row(step, 1, loss_rel="nan") for step in (2401, 2402, 2403)]
    before[2000:2200] = []
    roll_back(project, before, rows(2, 2901, 3100), reason="メモリ使用量がステップ300から増え続けたため")
    made = {"english": _page(project, "en"), "japanese": _page(project, "ja"), "drill": _drill_page(project)}
    shutil.rmtree(project.root / "logs")
    shutil.rmtree(project.root / ".atftctl/operations")
    made["bare"] = _page(project, "bare", "--lang", "en")
    rewrite(
        project,
        title=EVIL,
        reason=LONG,
        operator=EVIL,
        about={EVIL: LONG, LONG: EVIL},
        changes=[f"{LONG}: {EVIL} → {LONG}"],
    )
    made["hostile"] = _page(project, "hostile", "--lang", "en")
    return made


def _drill_page(project: Project) -> Path:
    """The page of a rehearsal of three drills: one with the incident of this project, two with hostile and long
    texts."""
    data = incident(open_to_look(project.root), ()).data
    assert isinstance(data, IncidentData)
    seen = {"act": {"evidence": [EVIL, LONG]}, "checks": {LONG: EVIL, EVIL: LONG}}
    known = Rehearsed("oom", "Out of memory", "restored", None, 5, 200.0, Timeline(10.0, 12.0, 20.0, 34.5).seconds(),
                      {}, ("  1.0 s  part: outcome",), None, data.operations[0])  # fmt: skip
    drills = (
        known,
        dataclasses.replace(known, symptom=EVIL, title=EVIL, verdict="not restored", obstacle=LONG, seen=seen),
        dataclasses.replace(known, symptom=LONG, title=LONG, verdict="inconclusive", seen=seen, folder=f"/{LONG}",
                            incident=None),
    )  # fmt: skip
    result = Result("drill", Exit.CHECK_FAILED, EVIL, data=DrillData("not restored", 400.0, drills, (LONG, EVIL)))
    path = project.root / "drill.html"
    drill_page.write(path, result, EVIL, "en")
    return path


def _page(project: Project, name: str, *arguments: str) -> Path:
    done = project.run("incident", "--html", f"{name}.html", *(arguments or ("--lang", name)))
    assert done.code == 0, done
    return project.root / f"{name}.html"


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[Any]:
    """A function that opens a page; what the browser complains of and asks for is collected, and must be nothing."""
    complaints: list[str] = []
    requests: list[str] = []

    def open_page(name: str, width: int = 1280, **settings: str) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=settings.get("scheme", "light"))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        if settings.get("media"):
            page.emulate_media(media=settings["media"])
        page.goto(pages[name].as_uri())
        if KEPT:
            words = [name, str(width), *settings.values()]
            page.screenshot(path=f"{KEPT}/{'-'.join(words)}.png", full_page=True)
        return page

    yield open_page
    assert complaints == []
    assert requests == [page for page in requests if page.startswith("file:") and page.endswith(".html")]


@pytest.mark.parametrize("name", ["english", "japanese", "bare", "hostile", "drill"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_leaves_the_screen(opened: Any, name: str, width: int) -> None:
    page = opened(name, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERFLOW) == []
    parts = page.evaluate("document.querySelectorAll('article').length")
    assert page.evaluate("document.documentElement.scrollHeight") < 20_000 * parts  # no column is as wide as a letter
    assert page.title() != "hit" and page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.querySelectorAll('img, iframe, link, object').length") == 0


def test_the_style_passes_the_policy_and_letters_keep_their_size(opened: Any) -> None:
    sizes = set()
    for width in (360, 1280):
        page = opened("english", width)
        assert page.evaluate("getComputedStyle(document.querySelector('.plot')).display") == "grid"
        sizes.add(tuple(page.evaluate(LETTERS)))
        assert min(*sizes) and min(page.evaluate(LETTERS)) >= 12
        assert page.evaluate("document.querySelectorAll('svg text').length") == 0
    assert len(sizes) == 1


def test_the_marker_and_its_labels_stand_at_the_same_place(opened: Any) -> None:
    page = opened("english", 1280)
    across = """() => { const svg = document.querySelector('svg').getBoundingClientRect();
      const share = document.querySelector('.m').getAttribute('d').match(/M(\\d+)/)[1] / 1000;
      const right = document.querySelector('.x > span + span').getBoundingClientRect();
      return [svg.left + share * svg.width, right.left]; }"""
    marker, label = page.evaluate(across)
    assert abs(marker - label) < 4


def test_in_the_dark(opened: Any) -> None:
    light, dark = (opened("english", 768, scheme=scheme) for scheme in ("light", "dark"))
    grounds = [page.evaluate("getComputedStyle(document.body).backgroundColor") for page in (light, dark)]
    assert grounds == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
    assert _contrast(dark) >= 4.5 and _contrast(light) >= 4.5


def _contrast(page: Any) -> float:
    """The least contrast of a text with its ground (WCAG 2)."""
    colours = page.evaluate("""() => [...document.querySelectorAll('p, dt, dd, td, th, h1, h3, .q, .good, .bad, .warn, ins, del, footer')]
      .map(e => getComputedStyle(e).color)""")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = _luminance(ground)
    both = [sorted((_luminance(colour), light)) for colour in set(colours)]
    return min((high + 0.05) / (low + 0.05) for low, high in both)


def _luminance(colour: str) -> float:
    parts = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_on_paper(opened: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    page = opened("english", 794, media="print", scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.pdf(path=str(tmp_path / "page.pdf"), format="A4")
    if not shutil.which("pdftotext"):
        return
    text = subprocess.run(
        ["pdftotext", "-layout", "page.pdf", "-"], cwd=tmp_path, capture_output=True, text=True
    ).stdout
    assert "atftctl undo" in text and "improvements.use_ema" in text and "Slack #ml-alerts" in text
    assert 2 <= text.count("\f") <= 6


def test_japanese_letters_are_drawn(opened: Any) -> None:
    page = opened("japanese", 360)
    assert page.evaluate("document.documentElement.lang") == "ja"
    text = page.evaluate("document.body.innerText")
    assert "変更前後の設定" in text and "メモリ使用量が" in text and "取り消し方" in text


def test_the_policy_holds_where_a_page_was_tampered_with(browser: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    """The policy is a second wall: what would slip through the escaping does nothing, and loads nothing."""
    text = pages["english"].read_text()
    evil = "<script>document.title='hit'</script><img src='file:///x.png'><p style='color:red' id=p onclick='1'>x</p>"
    (tmp_path / "page.html").write_text(text.replace("<main>", f"<main>{evil}", 1))
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto((tmp_path / "page.html").as_uri())
    assert (
        page.title() != "hit"
        and page.evaluate("getComputedStyle(document.getElementById('p')).color") == "rgb(31, 35, 40)"
    )
    assert len([text for text in complaints if "Content Security Policy" in text]) >= 3, json.dumps(complaints)
