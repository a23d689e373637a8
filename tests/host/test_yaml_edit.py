"""The text-exact edit: a change of three keys is a diff of three lines, on any config that people write."""

from __future__ import annotations

import pytest
import yaml

from atftctl.host.errors import YamlError
from atftctl.host.yaml_text.edit import edit

EXACT = {
    "plain": ("a:\n  b: true\n", {("a", "b"): False}, "a:\n  b: false\n"),
    "comment behind": ("a:\n  b: true   # b: true\n", {("a", "b"): False}, "a:\n  b: false   # b: true\n"),
    "key also in comments": (
        "# b: true\na:\n  # b: true\n  b: true\n",
        {("a", "b"): False},
        "# b: true\na:\n  # b: true\n  b: false\n",
    ),
    "same key elsewhere": (
        "x: {b: true}\na: {b: true}\n",
        {("a", "b"): False},
        "x: {b: true}\na: {b: false}\n",
    ),
    "japanese": (
        "改善:\n  温度: 0.8  # 既存値は１.0\n",
        {("改善", "温度"): 1.0},
        "改善:\n  温度: 1.0  # 既存値は１.0\n",
    ),
    "crlf": ("a:\r\n  b: 1\r\n  c: 2\r\n", {("a", "b"): 5}, "a:\r\n  b: 5\r\n  c: 2\r\n"),
    "bom": ("\ufeffa:\n  b: 1\n", {("a", "b"): 5}, "\ufeffa:\n  b: 5\n"),
    "no final newline": ("a:\n  b: 1", {("a", "b"): 5}, "a:\n  b: 5"),
    "odd indent": (
        "a:\n     b: 1\n     c:\n       - x\n",
        {("a", "b"): 5},
        "a:\n     b: 5\n     c:\n       - x\n",
    ),
    "single quotes stay": ("a: {b: 'mse'}\n", {("a", "b"): "huber"}, "a: {b: 'huber'}\n"),
    "double quotes stay": ('a: {b: "mse"}\n', {("a", "b"): "huber"}, 'a: {b: "huber"}\n'),
    "quoted word becomes a bool": ("b: 'true'\n", {("b",): True}, "b: true\n"),
    "small float": ("lr: 0.1\n", {("lr",): 3e-05}, "lr: 3.0e-05\n"),
    "word that 1.1 takes for a bool": ("m: x\n", {("m",): "no"}, 'm: "no"\n'),
    "string that looks like a number": ("m: x\n", {("m",): "1e5"}, 'm: "1e5"\n'),
    "empty value": ("a:\n  b:\n  c: 1\n", {("a", "b"): 5}, "a:\n  b: 5\n  c: 1\n"),
    "empty value with comment": ("b:   # none yet\nc: 1\n", {("b",): 5}, "b: 5   # none yet\nc: 1\n"),
    "unused anchor stays": ("b: &x 1\nc: 2\n", {("b",): 5}, "b: &x 5\nc: 2\n"),
    "alias is replaced": ("b: &x 1\nc: *x\n", {("c",): 5}, "b: &x 1\nc: 5\n"),
    "merged key is overridden": (
        "base: &base\n  t: 1\na:\n  <<: *base\n  k: 2\n",
        {("a", "t"): 5},
        "base: &base\n  t: 1\na:\n  <<: *base\n  k: 2\n  t: 5\n",
    ),
    "missing key, before the next comment": (
        "a:\n  b: 1  # one\n\n# next section\nz: 2\n",
        {("a", "c"): True},
        "a:\n  b: 1  # one\n  c: true\n\n# next section\nz: 2\n",
    ),
    "missing key, crlf": ("a:\r\n  b: 1\r\nz: 2\r\n", {("a", "c"): 3}, "a:\r\n  b: 1\r\n  c: 3\r\nz: 2\r\n"),
    "missing key, no final newline": ("a:\n  b: 1", {("a", "c"): 3}, "a:\n  b: 1\n  c: 3"),
    "missing key, after a block": (
        "a:\n  b: |\n    text\nz: 1\n",
        {("a", "c"): 3},
        "a:\n  b: |\n    text\n  c: 3\nz: 1\n",
    ),
    "missing key, after a nested list": (
        "a:\n    b:\n    - 1\n    - {x: 1}   # c\nz: 1\n",
        {("a", "c"): 3},
        "a:\n    b:\n    - 1\n    - {x: 1}   # c\n    c: 3\nz: 1\n",
    ),
    "missing key, flow": ("a: {b: 1}\n", {("a", "c"): 3}, "a: {b: 1, c: 3}\n"),
    "missing key, flow with trailing comma": ("a: {b: 1,}\n", {("a", "c"): 3}, "a: {b: 1, c: 3,}\n"),
    "missing key, flow on lines": (
        "a: {\n  b: 1  # one\n}\n",
        {("a", "c"): 3},
        "a: {\n  b: 1, c: 3  # one\n}\n",
    ),
    "missing key, empty flow": ("a: {}\n", {("a", "c"): 3}, "a: {c: 3}\n"),
    "missing key, json": ('{"a": {"b": 1}}\n', {("a", "c"): 3}, '{"a": {"b": 1, "c": 3}}\n'),
    "missing mapping": ("a:\n    b: 1\n", {("x", "k"): 3}, "a:\n    b: 1\nx:\n    k: 3\n"),
    "missing mapping, two keys": ("a: 1\n", {("x", "k"): 3, ("x", "z"): 4}, "a: 1\nx:\n  k: 3\n  z: 4\n"),
    "missing mapping in flow": ("{a: 1}\n", {("x", "k"): 3}, "{a: 1, x: {k: 3}}\n"),
    "empty section": ("a:   # nothing yet\nb: 1\n", {("a", "c"): 3}, "a:   # nothing yet\n  c: 3\nb: 1\n"),
    "document marks": ("---\na: 1\n...\n", {("a",): 2, ("b",): 3}, "---\na: 2\nb: 3\n...\n"),
    "several documents": ("a: 1\n---\nb: 1\n", {("b",): 2}, "a: 1\n---\nb: 2\n"),
    "multi-line plain": ("a: one\n  two\nb: 1\n", {("a",): "x"}, "a: x\nb: 1\n"),
    "list items beside": ("l:\n- a: 1\n  b: 2\nm: 1\n", {("m",): 2}, "l:\n- a: 1\n  b: 2\nm: 2\n"),
    "nothing to do": ("t:   1  # as it is\n", {("t",): 1.0}, "t:   1  # as it is\n"),
    "block text": ("a: |\n  text\n  more\nb: 1\n", {("a",): 2}, "a: 2\nb: 1\n"),
    "block text, with comment and blank lines": (
        "a: >-  # why\n  text\n\n\n# next\nb: 1\n",
        {("a",): "x"},
        "a: x  # why\n\n\n# next\nb: 1\n",
    ),
    "block text in a list, at the end": ("a:\n- |+\n  text\n", {("a", "0"): True}, "a:\n- true\n"),
    "block text with a tab and a number sign": ("a: |\n  # text\n  \tx\n", {("a",): 2}, "a: 2\n"),
    "an explicit tag goes with its value": ("a: !!str x # c\nb: 1\n", {("a",): 2}, "a: 2 # c\nb: 1\n"),
    "a tag that nobody knows": ("lr: !ref <base>\n", {("lr",): 1e-7}, "lr: 1.0e-07\n"),
    "a tag with an anchor": ("a: !x &n 1\nb: 1\n", {("a",): 2}, "a: &n 2\nb: 1\n"),
    "a comment after an anchor": ("a: &z # keep\n  5\nb: 1\n", {("a",): 2}, "a: &z # keep\n  2\nb: 1\n"),
    "an anchor of an item, and a comment": ("- &z # keep\n  5\n", {("0",): 2}, "- &z # keep\n  2\n"),
    "a key of JSON with an escape": ('{"a\\/b": 1}', {("a/b",): 2}, '{"a\\/b": 2}'),
    "a tag on a block of text": ("a: !x |\n  text\nb: 1\n", {("a",): 2}, "a: 2\nb: 1\n"),
    "quoted keys": ("'a':\n  \"b\": 1\n", {("a", "b"): 2}, "'a':\n  \"b\": 2\n"),
}


@pytest.mark.parametrize("name", EXACT)
def test_only_the_value_changes(name: str) -> None:
    before, edits, after = EXACT[name]
    assert edit(before.encode(), edits).decode() == after


REFUSED = {
    "shared anchor": ("a: &x 1\nb: *x\n", {("a",): 2}, "b would change too"),
    "inside an alias": ("d: &d {k: 1}\na: *d\n", {("a", "k"): 2}, "alias of &d"),
    "shared mapping": ("d: &d {k: 1}\na: *d\n", {("d", "k"): 2}, "a.k would change too"),
    "merge source": ("d: &d {k: 1}\na:\n  <<: *d\n", {("d", "k"): 2}, "a.k would change too"),
    "a mapping in place of a value": ("a:\n  b: {c: 1}\n", {("a", "b"): 2}, "mapping or a list"),
    "a list in place of a mapping": ("a: [1]\n", {("a", "b"): 2}, "items by number"),
    "a word in place of a mapping": ("a: word\n", {("a", "b"): 2}, "not a mapping"),
    "a comment between a tag and its value": ("a: !x # keep\n  5\n", {("a",): 2}, "comment between"),
    "a key that is asked for": ("? a # c\n: # d\n", {("a",): 2}, "no colon"),
    "comments only": ("# a: 1\n", {("a",): 2}, "comments only"),
    "a long text": ("a: 1\n" + "# x\n" * 200_000, {("a",): 2}, "is not edited"),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", {("a",): 2}, "appears twice (first on line 1)"),
    "not utf-8": (b"a: \xff\n", {("a",): 2}, "not UTF-8"),
    "empty file": ("", {("a",): 2}, "empty"),
    "broken": ("a: [1\n", {("a",): 2}, "line "),
    "alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)),
        {("k",): 2},
        "aliases",
    ),
    "cycle": ("a: &a\n  b: *a\n", {("k",): 2}, "aliases"),
    "key in two documents": ("a: 1\n---\na: 1\n", {("a",): 2}, "2 of them have the key 'a'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused(name: str) -> None:
    before, edits, reason = REFUSED[name]
    data = before if isinstance(before, bytes) else before.encode()
    with pytest.raises(YamlError) as caught:
        edit(data, edits)
    assert reason in str(caught.value)


def test_the_refusal_names_the_line() -> None:
    with pytest.raises(YamlError) as caught:
        edit(b"x: 1\na:\n  b: [1, 2]\n", {("a", "b"): 2})
    assert caught.value.line == 3


def test_twenty_three_edits_are_twenty_three_lines() -> None:
    """A config with everything in it, edited in many places at once: one line of diff for each."""
    lines = ["# 設定\n"]
    for index in range(23):
        lines += [
            f"s{index}:  # section {index}: value: 0\n",
            f"   value: {index}     # value: {index}\n",
            "   other: [a, 'b']\n",
            "\n",
        ]
    before = "".join(lines).encode()
    after = edit(before, {(f"s{index}", "value"): 100 + index for index in range(23)})
    changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
    assert len(changed) == 23
    assert yaml.safe_load(after)["s7"] == {"value": 107, "other": ["a", "b"]}
