"""`init`: what it finds, what it chooses, what it writes, and that nothing is half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from atftctl.decide.adoption import commands, guarded
from atftctl.domain.adoption import Found
from atftctl.domain.errors import Refused, UsageError
from atftctl.operations.adoption import checked_folder, choices
from tests.support.projects import ROOT, Project, make_project, wait_for

Files = dict[str, str]
CONFIG = "training: {lr: 0.1, use_ema: true, use_cuda: true}\nmodel: {dropout: 0.1}\n"


def new_project(tmp_path: Path, files: Files) -> Project:
    """A folder with these files and no runbook."""
    project = make_project(tmp_path / "made", tmp_path / "violations")
    project.root = tmp_path / "Mein Projekt"
    project.root.mkdir()
    for name, content in files.items():
        project.write(name, content)
    return project


def written(project: Project) -> str:
    """The text of the only runbook."""
    [path] = (project.root / "runbooks").iterdir()
    assert path.suffix == ".yaml"
    return path.read_text()


def initialised(project: Project, *options: str) -> dict[str, object]:
    """`init --yes`; the data of its result. The runbook that was written has no problem."""
    ended = project.run("init", "--yes", "--json", *options)
    assert ended.code == 0, ended
    assert project.run("runbook", "lint").code == 0, project.run("runbook", "lint")
    data: dict[str, object] = ended.json["data"]
    return data


def test_the_first_runbook_of_a_plain_project(tmp_path: Path) -> None:
    project = new_project(
        tmp_path,
        {
            "config.yaml": CONFIG,
            "train.py": "",
            "out/last.pt": "x",
            "out/best.pt": "y",
            "train.log": "",
            "logs/metrics.csv": "step,train_loss\n1,2.0\n",
            "README.md": "",
        },
    )
    data = initialised(project)
    assert data["runbook"] == "runbooks/mein-projekt.yaml" and data["service"] == "Mein Projekt"
    assert data["configs"] == ["config.yaml"] and sorted(data["models"]) == ["out/best.pt", "out/last.pt"]  # type: ignore[call-overload]
    assert data["command"][-1] == "train.py" and data["features"] == ["training_use_ema"]  # type: ignore[index]
    assert data["metrics"] == ["logs/metrics.csv"] and data["logs"] == ["train.log", "logs/trainer.out"]
    text = written(project)
    assert "last: out/last.pt" in text and "loss: train_loss" in text and "#   model_dropout:" in text
    assert not (project.root / ".gitignore").exists(), "this is no git repository"
    assert project.run("backup").code == 0
    ended = project.run("rollback", "--immediate", "--yes", "--no-restart")
    assert ended.code == 0 and "use_ema: false, use_cuda: true" in project.read("config.yaml").decode(), ended


def test_a_project_that_has_a_runbook_is_refused(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": "", "runbooks/old.yaml": "broken: ["})
    before = project.tree()
    ended = project.run("init", "--yes")
    assert ended.code == 3 and "has a runbook already: runbooks/old.yaml" in ended.err
    assert project.tree() == before


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no command that starts the trainer was found"),
        ({"train.py": ""}, "neither a config file nor a checkpoint was found"),
        ({"config.yaml": CONFIG}, "no command that starts the trainer was found"),
        ({"config.yaml": CONFIG, "Makefile": "train:\n\tcd src && python a.py > log\n"}, "needs a shell"),
    ],
)
def test_where_something_is_missing_nothing_is_written(tmp_path: Path, files: Files, said: str) -> None:
    project = new_project(tmp_path, files)
    before = project.tree()
    ended = project.run("init", "--yes")
    assert (
        ended.code == 3 and said in ended.err and "nothing was written" in ended.err and "atftctl init -" in ended.err
    )
    assert project.tree() == before and not (project.root / "runbooks").exists()


@pytest.mark.parametrize(
    ("line", "example"),
    [
        ("cd src && python train.py --lr 1 > log 2>&1", "atftctl init -- python train.py --lr 1"),
        ("CUDA_VISIBLE_DEVICES=0 python train.py", "atftctl init -- python train.py"),
        ("nohup python -u train.py &", "atftctl init -- python -u train.py"),
        ("python train.py | tee log", "atftctl init -- python train.py"),
        ("python train.py $HOME/data", "atftctl init -- python train.py"),
    ],
)
def test_a_shell_line_is_refused_with_the_words_to_give(tmp_path: Path, line: str, example: str) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG})
    for options in (("--command", line), ("--", line)):
        ended = project.run("init", "--yes", *options)
        assert ended.code == 2 and "no shell reads the runbook" in ended.err and example in ended.err, ended
    assert not (project.root / "runbooks").exists()


def test_the_command_in_its_three_forms(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "other.py": ""})
    for options in (
        ("--", "/bin/python9", "other.py", "--x", "a b"),
        ("--command", '["/bin/python9", "other.py", "--x", "a b"]'),
        ("--command", "/bin/python9 other.py --x 'a b'"),
    ):
        assert initialised(project, *options)["command"] == ["/bin/python9", "other.py", "--x", "a b"]
        (project.root / "runbooks" / "mein-projekt.yaml").unlink()
    for wrong in ('["a", 1]', "[", "[]", '["a", "&&", "b"]'):
        assert project.run("init", "--yes", "--command", wrong).code == 2, wrong


def test_two_candidates_for_everything_the_likeliest_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    project = new_project(
        tmp_path,
        {
            "config/a.yaml": CONFIG,
            "config/b.yaml": CONFIG,
            "Makefile": "train-a:\n\tpython a.py\ntrain-b:\n\tpython b.py\n",
            "one/last.pt": "",
            "two/last.pt": "",
            "one.csv": "step,loss\n",
            "two.csv": "step,loss\n",
            "three.csv": "step,loss\n",
        },
    )
    data = initialised(project)
    assert data["configs"] == ["config/a.yaml"]
    unsure = "\n".join(data["unsure"])  # type: ignore[arg-type]
    for text in (
        "b.py",
        "config/b.yaml",
        "Makefile, target train-a",
        "further checkpoints",
        "further files of metrics",
    ):
        assert text in unsure, text


def test_files_of_one_folder_that_complete_each_other_are_taken_together(tmp_path: Path) -> None:
    files = {"cfg/train.yaml": "training: {lr: 1}\n", "cfg/model.yaml": "model: {layers: 1}\n", "train.py": ""}
    assert set(initialised(new_project(tmp_path, files))["configs"]) == {"cfg/train.yaml", "cfg/model.yaml"}  # type: ignore[call-overload]


def test_a_config_that_the_command_names_is_the_one(tmp_path: Path) -> None:
    files = {"config.yaml": CONFIG, "conf/big.yaml": CONFIG, "train.py": ""}
    project = new_project(tmp_path, files)
    assert initialised(project, "--", "python", "train.py", "--config=conf/big.yaml")["configs"] == ["conf/big.yaml"]


def test_folders_as_checkpoints_and_metrics_of_several_frameworks(tmp_path: Path) -> None:
    state = {f"out/checkpoint-{step}/trainer_state.json": "{}" for step in (500, 1000)}
    weights = {f"out/checkpoint-{step}/model.safetensors": "" for step in (500, 1000)}
    project = new_project(tmp_path, {"config.json": '{"lr": 1, "model": "x"}', "train.py": "", **state, **weights})
    os.utime(project.root / "out" / "checkpoint-500", (1, 1))
    data = initialised(project)
    assert data["models"] == ["out/checkpoint-*"] and data["metrics"] == ["out/checkpoint-*/trainer_state.json"]
    assert "last: out/checkpoint-*\n  history: out\n" in written(project)


def test_the_running_trainer_gives_its_command(tmp_path: Path) -> None:
    program = "import time\ntime.sleep(60)\n"
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train_it.py": program, "train.py": ""})
    trainer = subprocess.Popen([sys.executable, "train_it.py", "--lr", "1"], cwd=project.root)
    try:
        wait_for(lambda: b"train_it" in Path(f"/proc/{trainer.pid}/cmdline").read_bytes())
        assert initialised(project)["command"] == [sys.executable, "train_it.py", "--lr", "1"]
    finally:
        trainer.kill()
        trainer.wait()


def test_the_python_of_the_project(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": "", ".venv/pyvenv.cfg": ""})
    (project.root / ".venv" / "bin").mkdir()
    (project.root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert initialised(project)["command"] == [".venv/bin/python", "train.py"]


def test_the_python_of_the_path_where_that_of_atftctl_has_no_pytorch(tmp_path: Path) -> None:
    """Interpreters of virtual environments are links to the same file; pipx gives atftctl one of its own."""
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": ""})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "python3").symlink_to(os.path.realpath(sys.executable))
    code = (
        "import sys; from pathlib import Path; from atftctl.observe.adoption import reading; "
        "reading.find_spec = lambda name: None; print(reading.interpreter(Path(sys.argv[1])))"
    )

    def chosen(path: Path) -> str:
        env = {**project.env, "PATH": f"{path}:/usr/bin:/bin"}
        env.pop("VIRTUAL_ENV", None)
        env.pop("CONDA_PREFIX", None)
        argv = [sys.executable, "-c", code, str(project.root)]
        return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    assert chosen(tmp_path / "other") == "python3"
    assert chosen(Path(sys.executable).parent) == "{python}"


def test_settings_in_python_are_saved_whole(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config/char.py": "lr = 1e-3\nif lr:\n  x = 1\n", "train.py": ""})
    data = initialised(project, "--config", "config/char.py", "--model", "out/ckpt.pt")
    assert data["configs"] == []
    assert "  also:\n    - config/char.py\n" in written(project)


def test_a_named_config_that_can_not_be_read_is_refused(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": "a: [1\n", "train.py": ""})
    ended = project.run("init", "--yes", "--config", "config.yaml", "--model", "out/ckpt.pt")
    assert ended.code == 2
    assert "config.yaml: line" in ended.err
    assert not (project.root / "runbooks").exists()


def test_the_hooks_write_metrics_so_none_are_missing(tmp_path: Path) -> None:
    hooks = "from atftctl.hooks.reporter import Reporter\n"
    for name, program in (("hooks", hooks), ("plain", "")):
        (tmp_path / name).mkdir()
        project = new_project(tmp_path / name, {"config.yaml": CONFIG, "train.py": program})
        missing = initialised(project)["missing"]
        assert isinstance(missing, list)
        assert any(text.startswith("no metrics") for text in missing) == (not program), missing
        assert ("alive_s: 60" in written(project)) == (not program)


def test_a_callback_of_a_framework_gives_the_columns(tmp_path: Path) -> None:
    """Also where the framework has written metrics of its own."""
    program = "from rollback_lightning import RollbackCallback\nrollback = RollbackCallback(configs=['config.yaml'])\n"
    other = {"lightning_logs/version_0/metrics.csv": "epoch,step,train_loss\n0,1,0.5\n"}
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": program, **other})
    assert initialised(project)["metrics"] == ["logs/metrics.csv"]
    assert "  loss: loss\n  gradient: grad_norm\n  memory: rss_mb\n  step_time: step_s\n" in written(project)


def test_what_the_output_of_an_earlier_run_shows_becomes_the_proof(tmp_path: Path) -> None:
    output = "number of parameters: 10\niter 0: loss 4.2, time 20ms\n"
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": "", "nohup.out": output})
    initialised(project)
    assert 'ready: {pattern: "\\\\biter\\\\b.*\\\\bloss\\\\b"}' in written(project)


GUARDED = (
    r"""atftctl guard --pattern 'iter (?P<step>\d+): loss (?P<loss>\S+)' """
    r"""--pattern="val (?P<val_loss>\S+)|acc (?P<acc>\d{2})" -- python train.py"""
)


def test_what_guard_reads_from_the_output_becomes_the_columns_and_its_first_step_the_proof(tmp_path: Path) -> None:
    """Quoted patterns are no shell line, also not in a Makefile."""
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": "", "Makefile": f"train:\n\t{GUARDED}\n"})
    data = initialised(project)
    command, missing = data["command"], data["missing"]
    assert isinstance(command, list) and command[-1] == "train.py" and r"\S+" in command[3], command
    assert data["metrics"] == ["logs/metrics.csv"] and isinstance(missing, list)
    assert not any(text.startswith("no metrics") for text in missing), missing
    text = written(project)
    assert "    val_loss: {better: lower}\n    acc: {}\n    step_s: {unit: s, better: lower}\n" in text
    assert "  loss: loss\n  step_time: step_s\n  # quality: val_loss  #" in text and "  ready:" not in text, text


@pytest.mark.parametrize(
    ("line", "patterns"),
    [
        ("atftctl guard --override=why --pattern=a(?P<x>.) --pattern b -- t.py --pattern c", ("a(?P<x>.)", "b")),
        ("{python} -m atftctl guard --pattern a t.py --pattern c", ("a",)),
        ("/opt/bin/atftctl guard -- t.py --pattern c", ()),
        ("python guard --pattern a -- t.py", ()),
        ("atftctl guard --pattern", ()),
    ],
)
def test_the_patterns_of_guard_are_told_from_the_options_of_the_program(line: str, patterns: tuple[str, ...]) -> None:
    assert guarded.patterns_of(line.split()) == patterns


def test_a_pattern_that_guard_refuses_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    wishes = choices.Wishes(words=("atftctl", "guard", "--pattern", "iter (", "--", "train.py"))
    with pytest.raises(UsageError, match="no regular expression"):
        choices.propose(tmp_path, Found(0), wishes, None)


@pytest.mark.parametrize(
    "line", ['a "a\\" b" > c "d"', "t.py 'a' | tee x", "t.py '$(X)'", 't.py "$1" > "y"', "t.py $'a'"]
)
def test_quotes_hide_no_part_of_a_shell_line(line: str) -> None:
    with pytest.raises(UsageError):
        commands.words_of(line, "{python}")


def test_gitignore_is_completed_and_stays_as_it_is_otherwise(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": "", ".gitignore": "*.pyc\r\nbackups"})
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    (project.root / ".gitignore").chmod(0o640)
    initialised(project)
    content = project.read(".gitignore")
    assert (
        content.startswith(b"*.pyc\r\nbackups\r\n\r\n#") and b"/.atftctl/\r\n" in content and b"/backups" not in content
    )
    assert (project.root / ".gitignore").stat().st_mode & 0o777 == 0o640
    (project.root / "runbooks" / "mein-projekt.yaml").unlink()
    assert initialised(project)["ignored"] == [] and project.read(".gitignore") == content


def test_a_gitignore_that_is_a_symlink_is_left_alone(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": ""})
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    (project.root / ".gitignore").symlink_to(outside)
    data = initialised(project)
    assert outside.read_text() == "mine\n" and "add these lines" in "\n".join(data["unsure"])  # type: ignore[arg-type]


def test_hostile_names_and_links_out_of_the_project(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": "", "cfg/no: [it].yaml": "lr: {x: 1}\n"})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "train.yaml").write_text(CONFIG)
    (outside / "last.pt").write_text("")
    (project.root / "conf").symlink_to(outside)
    (project.root / "last.pt").symlink_to(outside / "last.pt")
    (project.root / "config").mkdir()
    for name in (b"config/a\nb.yaml", b"config/\xff\xfe.yaml", b"config/\x1b[31m.yaml"):
        Path(os.fsdecode(os.fsencode(project.root) + b"/" + name)).write_text(CONFIG)
    os.mkfifo(project.root / "config" / "pipe.yaml")
    data = initialised(project)
    assert "cfg/no: [it].yaml" in data["configs"] and data["models"] == []  # type: ignore[operator]
    assert "outside" not in written(project) and "3 names that can't be printed" in "\n".join(data["unsure"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        ("--config", "../x.yaml"),
        ("--config", "none.yaml"),
        ("--model", "/etc/passwd"),
        ("--log", "a\nb"),
        ("--service", "a\x1bb"),
    ],
)
def test_wrong_options_write_nothing(tmp_path: Path, options: tuple[str, str]) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": ""})
    ended = project.run("init", "--yes", *options)
    assert ended.code == 2 and not (project.root / "runbooks").exists(), ended


def test_a_service_that_yaml_would_read_as_something_else(tmp_path: Path) -> None:
    for number, name in enumerate(("yes", "null", "1.5", "a: b", "日本 #1", "'", ".nan", "~")):
        project = new_project(tmp_path / str(number), {"config.yaml": CONFIG, "train.py": ""})
        initialised(project, "--service", name)
        assert project.run("status", "--json").json["data"]["service"] == name


def test_a_dry_run_shows_the_runbook_and_writes_nothing(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": ""})
    before = project.tree()
    ended = project.run("init", "--dry-run")
    assert ended.code == 0 and "+  configs:" in ended.out and "not sure:" in ended.out and "missing:" in ended.out
    assert project.tree() == before and not (project.root / "runbooks").exists()


def test_without_a_terminal_it_asks_for_yes(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": ""})
    ended = project.run("init")
    assert ended.code == 3 and "--yes" in ended.err and not (project.root / "runbooks").exists()


def test_folders_that_are_passed_over_or_cut(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": "", "images/a.txt": ""})
    for folder in ("node_modules/x", "my-env", ".hidden"):
        project.write(f"{folder}/train.yaml", CONFIG)
    project.write("my-env/pyvenv.cfg", "")
    for number in range(2100):
        (project.root / "images" / f"{number}.txt").touch()
    data = initialised(project)
    assert data["configs"] == ["config.yaml"]
    unsure = "\n".join(data["unsure"])  # type: ignore[arg-type]
    assert "not looked at whole" in unsure and "images" in unsure and "train.yaml" not in unsure


def test_killed_at_any_moment_there_is_a_whole_runbook_or_none(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": ""})
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    argv = [sys.executable, "-m", "atftctl", "init", "--yes"]
    book = project.root / "runbooks" / "mein-projekt.yaml"
    for delay in (0.15, 0.3, 0.4, 0.5, 0.6):
        child = subprocess.Popen(
            argv, cwd=project.root, env=project.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        if book.exists():
            assert project.run("runbook", "lint").code == 0
            book.unlink()
    initialised(project)
    assert project.read(".gitignore").count(b"/.atftctl/") == 1


def test_two_at_once_write_one_runbook(tmp_path: Path) -> None:
    project = new_project(tmp_path, {"config.yaml": CONFIG, "train.py": ""})
    ended = [process.wait(60) for process in [project.start("init", "--yes") for _ in range(3)]]
    assert sorted(ended) == [0, 3, 3], ended
    assert [path.name for path in (project.root / "runbooks").iterdir()] == ["mein-projekt.yaml"]


def test_this_repository_has_one_already() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "atftctl", "init", "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 3 and "has a runbook already" in ended.stderr


def test_a_home_that_is_a_symlink_or_missing_and_a_folder_in_another_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container, a user may have no home at all."""
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    with pytest.raises(Refused, match="not the folder of one project"):
        checked_folder.checked_folder(home)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert checked_folder.checked_folder(home) == home
    (home / "runbooks").mkdir()
    (home / "runbooks/x.yaml").touch()
    assert checked_folder.outer_project(home / "sub") == home
