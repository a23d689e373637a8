"""Read a page of an incident as a strict reader does."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

TAG = re.compile(
    "html|head|meta|title|style|body|header|h1|h2|h3|p|main|article|section|strong|ul|ol|li|dl|dt|dd|table|thead|tbody|"
    "tr|th|td|span|code|del|ins|pre|kbd|figure|figcaption|div|svg|path|footer"
)
ATTRIBUTE = re.compile(
    "lang|charset|http-equiv|content|name|class|data-l|colspan|scope|role|aria-label|aria-hidden|viewbox|"
    "preserveaspectratio|focusable|d"
)
EMPTY = {"meta", "path"}
# Controls, and what reorders or hides text; a page has newlines only.
UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class Page(HTMLParser):
    """The texts of a page. Fails for anything that a page may not hold, and for tags that do not nest."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.source = content.decode()
        self.open: list[str] = []
        self.words: list[str] = []
        self.style = ""
        self.policy = ""
        assert not UNSEEN.search(self.source), UNSEEN.search(self.source)
        self.feed(self.source)
        self.close()
        assert self.open == []
        digest = base64.b64encode(hashlib.sha256(self.style.encode()).digest()).decode()
        assert self.policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'"), self.policy
        assert "url(" not in self.style and "@import" not in self.style

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert TAG.fullmatch(tag), tag
        for name, value in attrs:
            assert ATTRIBUTE.fullmatch(name), (tag, name)
            if name == "d":
                assert re.fullmatch(r"[MLHVhv0-9 .-]+", value or ""), value
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in EMPTY, tag
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())
