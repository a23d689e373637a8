"""Property tests of the YAML edit: on generated and on mangled texts, exactly the intended keys change or it is
refused."""

from __future__ import annotations

import copy

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from ruamel.yaml import YAML

from atftctl.host.errors import YamlError
from atftctl.host.yaml_text import read as yaml_read
from atftctl.host.yaml_text.edit import edit
from atftctl.host.yaml_text.scalar import render, same
from tests.support.today import examples

names = st.sampled_from(["use_ema", "loss", "type", "温度", "a b", "x-1", "on", "123", "t.u", "null"])
words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=12)
values = st.one_of(st.booleans(), st.integers(-(10**6), 10**6), st.floats(allow_nan=False), st.none(), words)
newlines = st.sampled_from(["\n", "\r\n"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A config as people write it: sections with comments, blank lines, odd indents, flow and block, quotes."""
    newline, step = draw(newlines), draw(st.integers(1, 5))
    lines = ["\ufeff---"] if draw(st.booleans()) and draw(st.booleans()) else []
    for section in draw(st.lists(names, unique=True, min_size=1, max_size=4)):
        keys = draw(st.lists(names, unique=True, min_size=0, max_size=4))
        comment = draw(st.sampled_from(["", "  # use_ema: true", "   # 注: 既存値"]))
        head = render(section, quote=draw(st.sampled_from(["", "'", '"'])))
        items = [f"{render(key)}: {render(draw(values), quote=draw(st.sampled_from(['', chr(39)])))}" for key in keys]
        if draw(st.booleans()) and items:
            lines.append(f"{head}: {{{', '.join(items)}}}{comment}")
        else:
            lines.append(f"{head}:{comment}")
            lines += [" " * step + item + draw(st.sampled_from(["", " # c", ""])) for item in items]
        lines += draw(st.sampled_from([[], [""], ["# type: x", ""], [" " * step + "# inner"]]))
    return newline.join(lines) + draw(st.sampled_from(["", newline]))


class AnyTag(yaml.CSafeLoader):
    """PyYAML, that keeps what has a tag of its own as text: mangling makes `!str` of `!!str`."""


AnyTag.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix} {yaml.serialize(node)}")


def read_1_1(text: str) -> object:
    return yaml.load(text, Loader=yaml.CSafeLoader)


def read_all_1_1(text: str) -> object:
    return yaml.load_all(text, Loader=AnyTag)


def read_1_2(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def expect(tree: object, path: tuple[str, str], value: object) -> object:
    tree = copy.deepcopy(tree)
    assert isinstance(tree, dict)
    section = tree.get(path[0])
    if not isinstance(section, dict):
        tree[path[0]] = section = {}
    section[path[1]] = value
    return tree


@settings(max_examples=examples(200), deadline=None)
@given(value=values)
def test_what_is_written_means_the_same_to_every_reader(value: object) -> None:
    text = f"value: {render(value)}\n"
    omega = OmegaConf.to_container(OmegaConf.create(text))
    for found in (yaml.safe_load(text), read_1_2(text), omega, yaml_read.read(text.encode()).value):
        assert same(found, {"value": value})


@settings(max_examples=examples(200), deadline=None)
@given(
    text=st.from_regex(
        r"[-+]?([0-9]{1,4}\.?[0-9]{0,3}([eE][-+]?[0-9]{1,2})|\.[0-9]{1,3}([eE][-+][0-9]{1,2})?)", fullmatch=True
    )
)
def test_a_number_is_read_as_omegaconf_and_yaml_1_2_read_it(text: str) -> None:
    text = f"value: {text}\n"
    found = yaml_read.read(text.encode()).value["value"]
    assert isinstance(found, float)
    assert found == read_1_2(text)["value"]


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts(), section=names, key=names, value=values)
def test_exactly_the_intended_key_changes(text: str, section: str, key: str, value: object) -> None:
    before_1_1, before_1_2 = read_1_1(text.removeprefix("\ufeff")), read_1_2(text.removeprefix("\ufeff"))
    after = edit(text.encode(), {(section, key): value}).decode()
    body = after.removeprefix("\ufeff")
    assert same(read_1_1(body), expect(before_1_1, (section, key), value))
    assert same(read_1_2(body), expect(before_1_2, (section, key), value))
    assert_one_splice(text, after)


def assert_one_splice(before: str, after: str) -> None:
    """All bytes outside one contiguous place are the same, and that place is no larger than a line or two."""
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    rest = 0
    while rest < min(len(before), len(after)) - head and before[-1 - rest] == after[-1 - rest]:
        rest += 1
    assert before[:head] + before[len(before) - rest :] == after[:head] + after[len(after) - rest :]
    assert before[head : len(before) - rest].count("\n") == 0, "a whole line of the original went"


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=texts(), data=st.data(), section=names, key=names, value=values)
def test_mangled_text_is_edited_exactly_or_refused(
    text: str, data: st.DataObject, section: str, key: str, value: object
) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        junk = data.draw(
            st.sampled_from(
                [
                    "",
                    ":",
                    "- ",
                    "&x ",
                    "*x",
                    "<<: ",
                    "{",
                    "}",
                    "[",
                    "'",
                    '"',
                    "|\n",
                    "#",
                    "\t",
                    "\n",
                    "? ",
                    "!!str ",
                    "...\n",
                    "---\n",
                    "%YAML 1.2\n",
                    ",",
                ]
            )
        )
        text = text[:at] + junk + text[at + data.draw(st.integers(0, 2)) :]
    try:
        after = edit(text.encode(), {(section, key): value}).decode()
    except YamlError:
        return
    before_docs = list(read_all_1_1(text.removeprefix("\ufeff")))
    after_docs = list(read_all_1_1(after.removeprefix("\ufeff")))
    changed = [i for i, (one, other) in enumerate(zip(before_docs, after_docs, strict=True)) if not same(one, other)]
    assert len(changed) <= 1
    for index in changed:
        assert same(after_docs[index], expect(before_docs[index] or {}, (section, key), value))


@settings(max_examples=examples(500), deadline=None)
@given(value=values, quote=st.sampled_from(["", "'", '"']))
def test_a_token_means_the_same_to_both_readers(value: object, quote: str) -> None:
    token = render(value, quote=quote)
    for text in (f"k: {token}\n", f"k: {{a: {token}}}\n", f"k: [{token}, 1]\n"):
        assert same(read_1_1(text), read_1_2(text)), token
    assert same(read_1_1(f"k: {token}\n")["k"], value), token
