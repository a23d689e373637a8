"""Which command lines are those of the trainer."""

from __future__ import annotations

import pytest

from atftctl.domain.command_line import plain, runs, signature, text

ROOT = "/work/nano"


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("/usr/bin/python3.11 -u ./train.py --lr 1", "python train.py --lr 1"),
        ("python -X dev -O /work/nano/train.py", "python train.py"),
        ("python3 -mpackage.train go", "python -m package.train go"),
        ("pypy3 train.py", "python train.py"),
        ("/bin/bash ./train.sh", "bash train.sh"),
        ("./train", "train"),
        ("", ""),
    ],
)
def test_the_interpreters_word_path_version_and_options_are_ignored(line: str, same: str) -> None:
    assert " ".join(plain(line.split(), ROOT)) == same


@pytest.mark.parametrize(
    ("command", "line", "is_trainer"),
    [
        ("{python} train.py --resume {resume}", "python3.12 train.py --resume best", True),
        ("python3 train.py", "/opt/venv/bin/python /work/nano/train.py", True),
        ("{python} -m pkg.train", "torchrun --nproc 2 -m pkg.train", True),
        ("{python} -m pkg.train", "python -m pkg.other", False),
        ("{python} train.py", "vim train.py", False),
        ("{python} train.py", "tail -f train.py", False),
        ("{python} train.py", "python /usr/bin/torchrun train.py", True),
        ("bash train.sh", "bash train.sh now", True),
        ("./run x", "/work/nano/run x", True),
        ("{python} {resume}", "python anything", False),
    ],
)
def test_a_command_is_known_by_its_words_before_the_first_option(command: str, line: str, is_trainer: bool) -> None:
    assert runs(line.split(), signature(command.split(), ROOT), ROOT) is is_trainer


def test_patterns_are_searched_in_the_plain_command_line() -> None:
    assert text(["python3.11", "/work/nano/train.py", "config/x.py"], ROOT) == "python train.py config/x.py"
    assert text(["vim", "train.py"], ROOT) == "vim train.py"
