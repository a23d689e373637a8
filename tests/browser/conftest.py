"""Debian's Chromium, driven by playwright. Where one of them is missing, the tests are skipped; `make test-browser` sets
ATFTCTL_BROWSER=required, and then they fail."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
# Without these, Chromium asks its maker's servers for updates at every start.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    missing = "" if CHROMIUM.exists() else f"{CHROMIUM} is not installed: apt-get install chromium fonts-noto-cjk"
    if importlib.util.find_spec("playwright") is None:
        missing = "playwright is not installed: make test-browser"
    if missing:
        (pytest.fail if os.environ.get("ATFTCTL_BROWSER") == "required" else pytest.skip)(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()
