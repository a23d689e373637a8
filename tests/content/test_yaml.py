"""What stands in configs, through the commands: keys, numbers and texts as people write them, and what costs without
end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from tests.support.projects import CONFIG, OOM, RUNBOOK, TRAINING, Project
from tests.support.today import some


def config(project: Project) -> dict[str, object]:
    return yaml.safe_load(project.read(CONFIG))


def add(project: Project, text: str) -> None:
    project.write(CONFIG, project.read(CONFIG).decode() + text)


SETS = {
    "a small number": ("extra: {lr: 0.1}\n", "extra.lr=1e-7", "extra: {lr: 1.0e-07}\n"),
    "a capital exponent": ("extra: {lr: 0.1}\n", "extra.lr=5E-4", "extra: {lr: 0.0005}\n"),
    "over a number that PyYAML takes for a word": ("extra: {lr: 1e-3}\n", "extra.lr=2e-3", "extra: {lr: 0.002}\n"),
    "a number key": ("extra: {1: 1.0, 5: 0.5}\n", "extra.5=0.25", "extra: {1: 1.0, 5: 0.25}\n"),
    "a key that 1.1 takes for a bool": ("on: {push: 1}\n", "on.push=2", "on: {push: 2}\n"),
    "a null key": ("extra: {null: 1, no: 2}\n", "extra.null=3", "extra: {null: 3, no: 2}\n"),
    "an item": ("extra: [{name: a}, {name: b}]\n", "extra.1.name=c", "extra: [{name: a}, {name: c}]\n"),
    "an item of a block": ("extra:\n- 1  # one\n- 2\n", "extra.0=9", "extra:\n- 9  # one\n- 2\n"),
    "a dotted key": ('extra:\n  "v1.5": 1\n', 'extra."v1.5"=2', 'extra:\n  "v1.5": 2\n'),
    "null": ("extra: {end: 3}\n", "extra.end=null", "extra: {end: null}\n"),
    "over null": ("extra: {end: null}\n", "extra.end=3", "extra: {end: 3}\n"),
    "a tab before a comment": ("extra: {lr: 1}\t# a tab\n", "extra.lr=2", "extra: {lr: 2}\t# a tab\n"),
    "a date": ("extra: {end: 2017-12-31}\n", "extra.end=2018-06-30", 'extra: {end: "2018-06-30"}\n'),
    "an alias of a value": ("a: &a 1\nb: *a\n", "b=2", "a: &a 1\nb: 2\n"),
}


@pytest.mark.parametrize("name", SETS)
def test_config_set_changes_the_one_value(project: Project, name: str) -> None:
    before, word, after = SETS[name]
    whole = project.read(CONFIG).decode()
    add(project, before)
    done = project.run("config", "set", word, "--yes")
    assert done.code == 0, done
    assert project.read(CONFIG).decode() == whole + after
    key, _, value = word.partition("=")
    shown = project.run("config", "get", key)
    assert shown.code == 0 and yaml.safe_load(shown.out) == yaml.safe_load(after.partition(value)[1] or shown.out), (
        shown
    )


def test_a_commit_that_looks_like_a_number_stays_one(project: Project) -> None:
    """695e0514 and 700e0999 are both infinite as numbers, and so would be equal."""
    add(project, "commit: 695e0514\n")
    assert project.run("config", "get", "commit").out == "695e0514\n"
    assert project.run("config", "set", "commit", "700e0999", "--yes").code == 0
    assert project.read(CONFIG).endswith(b'commit: "700e0999"\n')


def test_an_equals_sign_is_a_word(project: Project) -> None:
    add(project, "extra: {op: x, old: =}\n")
    assert project.run("config", "set", "extra.op==", "--yes").code == 0
    assert project.read(CONFIG).endswith(b'extra: {op: "=", old: =}\n')
    assert project.run("config", "get", "extra.old").out == "=\n"


REFUSED = {
    "an alias of a mapping": ("a: &a {x: 1}\nb: *a\n", "b=2", "b holds 1 setting"),
    "inside an alias": ("a: &a {x: 1}\nb: *a\n", "b.x=2", "alias of &a"),
    "a shared value": ("a: &a 1\nb: *a\n", "a=2", "b would change too"),
    "an item that is not there": ("extra: [1, 2]\n", "extra.2=1", "a list of 2 items"),
    "a quote that is not closed": ("extra: 1\n", 'extra."x=1', "quote"),
    "an item twice": ("extra: [1]\n", "extra.00=2", "a list of 1 item"),
    "an endless number": ("extra: [1]\n", "extra." + "9" * 5000 + "=2", "a list of 1 item"),
    "a comment alone": ("extra: 1\n", "extra=#2", "the value is missing"),
    "nothing": ("extra: 1\n", "extra=", "the value is missing"),
    "a value and a comment": ("extra: x\n", "extra=run # 3", "more than a value"),
    "a tagged value": ("extra: 1\n", "extra=!!int '5'", "more than a value"),
    "an anchor": ("extra: 1\n", "extra=&a 5", "more than a value"),
    "an underscore": ("extra: 1.0\n", "extra=1_0e5", "is ambiguous in YAML"),
    "a number that no float holds": ("extra: 1.0\n", "extra=1e999", "is not a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_config_set_refuses_with_a_true_reason(project: Project, name: str) -> None:
    before, word, message = REFUSED[name]
    add(project, before)
    tree = project.tree()
    done = project.run("config", "set", word, "--yes")
    assert done.code in (2, 3) and message in done.err and "Traceback" not in done.err, done
    assert project.tree() == tree


def test_a_second_anchor_of_one_name_is_said_whole(project: Project) -> None:
    add(project, "a: &x 1\nb: &x 2\n")
    line = project.read(CONFIG).count(b"\n")
    done = project.run(*OOM)
    assert (
        done.code == 3 and f"line {line}: two anchors have the same name (the first is on line {line - 1})" in done.err
    ), done


def test_a_small_number_of_the_runbook_is_a_number_to_every_reader(project: Project) -> None:
    project.replace(RUNBOOK, "baseline: 1.0\n    improved: 0.8", "baseline: 1e-1\n    improved: 0.8")
    assert project.run("rollback", "--feature", "gat_temperature", "--yes").code == 0
    for value in (config(project), YAML(typ="safe", pure=True).load(project.read(CONFIG))):
        assert value["improvements"]["gat_temperature"] == 0.1


JSON = '{\n\t"improvements": {"use_ema": true, "path": "a\\/b \\ud83d\\ude00"},\n\t"lr": 1e-3, "end": null, "note": "\\u001b"\n}\n'


@pytest.fixture
def json_project(project: Project) -> Project:
    """A project with a third config, of JSON."""
    project.write("configs/extra.json", JSON)
    project.replace(RUNBOOK, f"  configs:\n    - {CONFIG}\n", f"  configs:\n    - {CONFIG}\n    - configs/extra.json\n")
    return project


JSON_SETS = {
    "lr=null": '"lr": null',
    "end=3": '"end": 3',
    "lr=1e-7": '"lr": 1.0e-07',
    'note="\\e[0m\\x7f"': '"note": "\\u001b[0m\\u007f"',
    "improvements.path=word": '"path": "word"',
    'note="no"': '"note": "no"',
}


@pytest.mark.parametrize("word", JSON_SETS)
def test_json_stays_json(json_project: Project, word: str) -> None:
    done = json_project.run("config", "set", word, "--yes")
    assert done.code == 0, done
    text = json_project.read("configs/extra.json").decode()
    json.loads(text)
    assert JSON_SETS[word] in text


def bomb() -> str:
    lines = ["a0: &a0 {k: 1, l: 2}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 8)}]}}" for n in range(1, 12)]
    return "\n".join(lines) + "\n"


COSTLY = {
    "merge keys": lambda path: path.write_text(bomb()),
    "aliases": lambda path: path.write_text(
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    ),
    "a number of 4,000 digits": lambda path: path.write_text("n: 0x" + "F" * 4000 + "\n"),
    "a sexagesimal number": lambda path: path.write_text("n: 1" + ":59" * 3000 + "\n"),
    "a JSON number": lambda path: path.write_text('{"n": ' + "9" * 100_000 + "}"),
    "half a gigabyte of nothing": lambda path: path.open("wb").truncate(1 << 29),
    "a tag that is not true": lambda path: path.write_text("x: !!int ''\ny: !!bool maybe\n"),
    "a time that is none": lambda path: path.write_text("x: !!timestamp foo\n"),
    "a hundred thousand brackets": lambda path: path.write_text("[" * 100_000),
}


@pytest.mark.parametrize("name", some(COSTLY, 3))
def test_ways_back_need_nothing_of_a_costly_config(project: Project, name: str) -> None:
    """`restore`, `rollback --to` and `undo` answer in seconds, whatever stands in the config."""
    before = project.configs()
    assert project.run("backup").code == 0
    path = project.root / CONFIG
    COSTLY[name](path)
    done = project.run(*OOM)
    assert done.code == 3 and CONFIG in done.err and "internal error" not in done.err, done
    costly = path.stat().st_size
    for command in (("restore", "latest", "--only", "configs", "--yes"), ("rollback", "--to", "latest", "--yes")):
        done = project.run(*command)
        assert done.code == 0, done
        assert project.configs() == before
        if command[0] == "restore":
            assert project.run("undo", "--yes").code == 0
            assert path.stat().st_size == costly
    assert Path(project.root / TRAINING).read_bytes() == before[1]
