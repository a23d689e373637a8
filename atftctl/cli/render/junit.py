"""A checklist as JUnit XML, which GitLab, Jenkins and GitHub actions show beside the tests.

A check that failed is a `failure`; one that is inconclusive is an `error`, which is what JUnit calls a test that could
not be carried out: it must not look like a pass. A check that was not asked for is `skipped`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from atftctl.domain.checks import title_of
from atftctl.operations.verification.checklist import CheckLine, VerifyData

# What XML 1.0 can't hold, not even escaped; and lone surrogates, which are no characters.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ELEMENTS = {"fail": "failure", "inconclusive": "error"}


def document(data: VerifyData, seconds: float, suite: str) -> bytes:
    """The XML document. `seconds`: how long the checklist took. `suite`: the name of what was checked."""
    counts = {
        "tests": len(data.checks) + len(data.skipped),
        "failures": sum(check.verdict == "fail" for check in data.checks),
        "errors": sum(check.verdict == "inconclusive" for check in data.checks),
        "skipped": len(data.skipped),
    }
    numbers = {name: str(count) for name, count in counts.items()} | {"time": f"{seconds:.3f}"}
    root = ElementTree.Element("testsuites", {"name": "atftctl verify", **numbers})
    tests = ElementTree.SubElement(root, "testsuite", {"name": _clean(suite), **numbers})
    for check in data.checks:
        _add(tests, check)
    for name in data.skipped:
        ElementTree.SubElement(_case(tests, name, title_of(name), 0.0), "skipped", {"message": "not checked this time"})
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _add(tests: ElementTree.Element, check: CheckLine) -> None:
    seconds = check.figures.get("seconds", 0.0)
    title = title_of(check.name)  # the same whether it is made or skipped: CI knows a test by its name
    case = _case(tests, check.name, title, seconds if isinstance(seconds, int | float) else 0.0)
    detail = f"{check.title}: {check.detail}" if check.title not in ("", title) else check.detail
    if kind := ELEMENTS.get(check.verdict):
        problem = ElementTree.SubElement(case, kind, {"message": _clean(detail), "type": check.verdict})
        problem.text = _text([detail, check.hint, *check.log])
        return
    out = ElementTree.SubElement(case, "system-out")
    out.text = _text([detail])


def _case(tests: ElementTree.Element, name: str, title: str, seconds: float) -> ElementTree.Element:
    names = {"classname": f"verify.{_clean(name)}", "name": _clean(str(title))}
    return ElementTree.SubElement(tests, "testcase", {**names, "time": f"{seconds:.3f}"})


def _text(lines: Sequence[str]) -> str:
    return _clean("\n".join(line for line in lines if line))


def _clean(text: str) -> str:
    """The text as XML can hold it: characters that XML has no way to write are shown as a question mark."""
    return FORBIDDEN.sub("?", str(text))
