"""Every scalar of a folder of public YAML files is edited, and the result is judged by readers that are not ours.

    python bench/yaml_corpus.py DIR [EVERY]      EVERY=10: each tenth scalar

An edit is wrong where PyYAML's nodes differ in anything but the one scalar, where a byte outside of its place changed,
or where PyYAML, ruamel.yaml and OmegaConf do not all read the new value as what it was meant to be. A refusal of a key
that stands twice, or of an anchor that others share, is right, and is counted apart. Ends with one line of JSON; exit 1
where the bar is missed.
"""

from __future__ import annotations

import collections
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from atftctl.host.errors import YamlError  # noqa: E402
from atftctl.host.yaml_text.edit import edit  # noqa: E402
from atftctl.host.yaml_text.scalar import same  # noqa: E402
from bench.report import finish  # noqa: E402

RIGHTLY = ("stands twice", "would change too", "is an alias of", "an alias of a mapping")
NEW = {"bool": True, "int": 4711, "float": 3e-07, "null": 0.5}
FILES_LEAST = 1500
LONGEST = 64 << 10  # bytes; nobody writes a longer one by hand
Path_ = tuple[str, ...]
Flat = list[tuple[Path_, str, str]]


class Lenient(yaml.CSafeLoader):  # type: ignore[name-defined,misc]
    """PyYAML's, but for tags that nobody knows."""


Lenient.add_constructor(None, lambda _, node: str(node.value))


def scalars(node: yaml.Node, path: Path_, inside: str, seen: frozenset[int]) -> Iterator[tuple[Path_, yaml.Node, str]]:
    """(path, node, "mapping" or "list" that it stands in) of every scalar below, each place of an alias too."""
    if id(node) in seen:
        return
    if isinstance(node, yaml.ScalarNode):
        yield path, node, inside
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from scalars(item, (*path, str(number)), "list", seen | {id(node)})
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                yield from scalars(value, (*path, key.value), "mapping", seen | {id(node)})


def flat(text: str) -> Flat:
    """Every scalar with its tag, in order; an alias stands for what it names."""
    documents = yaml.compose_all(text, Loader=yaml.CSafeLoader)
    return [
        (path, node.tag, node.value)
        for number, document in enumerate(documents)
        if document is not None
        for path, node, _ in scalars(document, (str(number),), "", frozenset())
    ]


def readings(token: str) -> list[Any]:
    """What the three readers make of a value."""
    from omegaconf import OmegaConf
    from ruamel.yaml import YAML

    text = f"value: {token}\n"
    return [
        yaml.safe_load(text)["value"],
        YAML(typ="safe", pure=True).load(text)["value"],
        OmegaConf.to_container(OmegaConf.create(text))["value"],
    ]


def judge(before: str, after: str, path: Path_, span: tuple[int, int], was: Flat) -> str:
    """What is wrong, or ""."""
    now = flat(after)
    if [one[0] for one in was] != [one[0] for one in now]:
        return "keys changed"
    changed = [(old, new) for old, new in zip(was, now, strict=True) if old != new]
    if {new[0] for _, new in changed} - {path}:
        return "another value changed"
    return outside(before, after, span)


def outside(before: str, after: str, span: tuple[int, int]) -> str:
    """Did a character outside of the old value's place change?"""
    start, end = span
    behind = len(before) - end
    if before[:start] != after[:start] or (behind and before[-behind:] != after[-behind:]):
        return f"a character outside of {start} to {end} changed"
    return ""


def try_file(job: tuple[Path, int]) -> tuple[collections.Counter[str], list[str]]:
    path, every = job
    counts: collections.Counter[str] = collections.Counter()
    words: list[str] = []
    text = path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff")
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.CSafeLoader))
        list(yaml.load_all(text, Loader=Lenient))
        was = flat(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError):
        counts["files PyYAML can't read"] += 1
        return counts, words
    counts["files"] += 1
    several = len(documents) > 1
    todo = [
        (number, *found)
        for number, document in enumerate(documents)
        if document is not None
        for found in scalars(document, (), "", frozenset())
    ]
    times = collections.Counter(id(node) for _, _, node, _ in todo)
    spans = {  # what stands in several places is an anchor's, and where its alias stands is not known here
        id(node): (node.start_mark.index, node.end_mark.index) if times[id(node)] == 1 else (0, len(text))
        for _, _, node, _ in todo
    }
    for number, place, node, inside in todo[::every]:
        if not place:
            continue
        kind = node.tag.rpartition(":")[2]
        value = NEW.get(kind, "changed")
        value = False if kind == "bool" and node.value.lower() in ("true", "yes", "on") else value
        counts[f"scalars in a {inside}"] += 1
        try:
            after = edit(text.encode(), {((str(number), *place) if several else place): value}).decode()
        except YamlError as error:
            right = any(word in error.reason for word in RIGHTLY)
            counts[f"{'rightly ' if right else ''}refused in a {inside}"] += 1
            if not right:
                words.append(f"refused {path}: {'.'.join(place)}: {error}")
            continue
        if wrong := judge(text, after, (str(number), *place), spans[id(node)], was):
            counts["wrong"] += 1
            words.append(f"WRONG {path}: {'.'.join(place)}: {wrong}")
    return counts, words


def main() -> None:
    folder, every = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for value in (1e-07, 3e-07, 5e-4, 1e16, -0.5, 0, True, None, "1e-7", "0x1F", "on", "12:30", ""):
        from atftctl.host.yaml_text.scalar import render

        assert all(same(found, value) for found in readings(render(value))), value
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in (".yaml", ".yml") and path.is_file() and path.stat().st_size <= LONGEST
    )
    total: collections.Counter[str] = collections.Counter()
    with multiprocessing.Pool() as pool:
        for counts, words in pool.imap_unordered(try_file, [(path, every) for path in files]):
            total.update(counts)
            print(*words, sep="\n", end="\n" * bool(words), file=sys.stderr)
    asked = total["scalars in a mapping"] - total["rightly refused in a mapping"]
    figures = dict(sorted(total.items())) | {
        "wrong": total["wrong"],
        "files": total["files"],
        "refused_of_mapping_scalars": total["refused in a mapping"] / max(asked, 1),
    }
    targets = {"wrong": ("<=", 0.0), "refused_of_mapping_scalars": ("<=", 0.01), "files": (">=", float(FILES_LEAST))}
    finish("yaml_corpus", figures, targets)


if __name__ == "__main__":
    main()
