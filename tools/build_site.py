"""Build the site from the Markdown: `make docs` writes build/site. Needs zensical.

Fails on a warning of zensical, and on a link of a built page whose page or heading does not exist.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
PAGES = ("*.md", "docs/**/*.md", "runbooks/*.md")  # relative to the repository; each keeps its path on the site


def collect_pages() -> None:
    """Copy the Markdown files to where zensical reads them."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for pattern in PAGES:
        for page in ROOT.glob(pattern):
            target = SOURCE / page.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(page, target)


class Page(HTMLParser):
    """The anchors of one built page, and the links in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element's id, and where it links to."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if (tag, name) in (("a", "href"), ("img", "src")) and value:
                self.links.append(value)


def find_broken_links() -> list[str]:
    """Return each link of the site that leads nowhere, with its page."""
    pages = {path: Page(path) for path in SITE.rglob("*.html") if path.name != "404.html"}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            missing = not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors)
            if missing:
                broken.append(f"{path.relative_to(SITE)}: {link}")
    return broken


def main() -> None:
    """Build and check; exit 1 with the broken links."""
    collect_pages()
    zensical = Path(sys.executable).with_name("zensical")
    done = subprocess.run([zensical, "build", "--strict", "--clean"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
        sys.exit(output.partition("Traceback (most recent call last)")[0])
    broken = find_broken_links()
    if broken:
        sys.exit("links that lead nowhere:\n  " + "\n  ".join(broken))
    print(f"build/site/index.html: {sum(1 for _ in SITE.rglob('*.html'))} pages, every link leads somewhere")


if __name__ == "__main__":
    main()
