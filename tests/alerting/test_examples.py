"""The ready-made examples in contrib/ and `--metrics-file`, which they use."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.projects import OOM, ROOT, RUNBOOK, Project, wait_for

EXAMPLES = ROOT / "contrib"
PROBE = ROOT / "tests/support/children/probe.py"
UNITS = sorted((EXAMPLES / "systemd").iterdir())


def values(project: Project, name: str = "state.prom") -> dict[str, Any]:
    """The samples of a metrics file, read by Prometheus's own parser: by name, or by name and label. Each names its
    service and its project."""
    parser = pytest.importorskip("prometheus_client.parser")
    families = parser.text_string_to_metric_families(project.read(name).decode())
    samples = [sample for family in families for sample in family.samples]
    assert {sample.labels.pop("project") for sample in samples} == {str(project.root)}
    assert len({sample.labels.pop("service") for sample in samples}) == 1
    return {" ".join((sample.name, *sample.labels.values())): sample.value for sample in samples}


def test_the_state_as_prometheus_text(project: Project) -> None:
    assert project.run("status", "--metrics-file", "state.prom").code == 0
    stopped = values(project)
    assert (stopped["atftctl_trainer_up"], stopped["atftctl_trainer_state never started"]) == (0, 1)
    assert "atftctl_last_step" not in stopped, "what is not known is absent"
    project.start_trainer()
    assert project.run("status", "--metrics-file", "state.prom", "--json").code == 0
    running = values(project)
    assert running["atftctl_trainer_up"] == 1
    assert running["atftctl_last_step"] >= 1
    assert running["atftctl_last_operation_exit_code trainer start"] == 0
    assert (project.root / "state.prom").stat().st_mode & 0o777 == 0o644, "node exporter runs as another user"
    assert [path.name for path in project.root.glob("*.prom*")] == ["state.prom"], "nothing is left beside it"


def test_a_value_that_is_not_a_number_is_written_as_such(project: Project) -> None:
    project.start_trainer()
    wait_for(lambda: len(project.read("logs/metrics.csv").splitlines()) > 5)
    assert project.run("trainer", "stop").code == 0
    head, *rows = project.read("logs/metrics.csv").decode().splitlines()
    last = rows[-1].split(",")
    last[head.split(",").index("loss_rel")] = "nan"
    project.write("logs/metrics.csv", "\n".join((head, *rows[:-1], ",".join(last), "")))
    assert project.run("status", "--metrics-file", "state.prom").code == 0
    recent = values(project)["atftctl_recent_value loss"]
    assert recent != recent, "NaN"


def test_names_with_quotes_and_newlines_are_one_label(project: Project) -> None:
    project.replace(RUNBOOK, "service: ATFT-GAT-FAN", r'service: "a\"b\\\nc"')
    assert project.run("status", "--metrics-file", "state.prom").code == 0
    parser = pytest.importorskip("prometheus_client.parser")
    families = parser.text_string_to_metric_families(project.read("state.prom").decode())
    assert {sample.labels["service"] for family in families for sample in family.samples} == {'a"b\\\nc'}


def test_files_that_would_not_be_read_or_cannot_be_written_are_refused(project: Project) -> None:
    assert project.run("status", "--metrics-file", "state.txt").code == 2
    assert project.run("status", "--metrics-file", "no/folder/state.prom").code == 3
    (project.root / "link").symlink_to(project.root)
    ended = project.run("status", "--metrics-file", "link/state.prom")
    assert ended.code == 3
    assert "could not be written" in ended.err


def test_every_name_of_a_metric_is_documented() -> None:
    code = (ROOT / "atftctl/operations/report/metrics_file.py").read_text()
    page = (ROOT / "docs/how-to/alerts.md").read_text()
    names = set(re.findall(r'"(atftctl_\w+)"', code))
    assert len(names) > 15
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def with_programs(text: str, folder: Path) -> str:
    """The text with programs that exist here: systemd-analyze looks for them."""
    for name in ("/usr/local/bin/atftctl", "/usr/bin/webhook"):
        program = folder / Path(name).name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        text = text.replace(name, str(program))
    return text


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_units_are_sound(tmp_path: Path) -> None:
    for unit in UNITS:
        (tmp_path / unit.name).write_text(with_programs(unit.read_text(), tmp_path))
    paths = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "atftctl" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
    broken = tmp_path / UNITS[0].name
    broken.write_text(broken.read_text().replace("Type=oneshot", "Typo=oneshot"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(broken)], capture_output=True, text=True)
    assert "Typo" in done.stderr, "and a wrong one is noticed"


def commands() -> list[str]:
    """The command lines of atftctl in the examples of systemd and cron."""
    texts = [path.read_text() for folder in ("systemd", "cron") for path in (EXAMPLES / folder).iterdir()]
    return [line for text in texts for line in re.findall(r"/usr/local/bin/atftctl ([^>\n]*)", text)]


def test_the_commands_of_the_examples_run(project: Project, tmp_path: Path) -> None:
    assert len(commands()) == 2
    for line in commands():
        target = project.root / "atftctl.prom"
        arguments = line.replace("/var/lib/prometheus/node-exporter/atftctl.prom", str(target)).split()
        ended = project.run(*arguments)
        assert ended.code == 0, ended
        assert target.exists()
        target.unlink()


def test_the_cron_line_has_its_fields() -> None:
    line = next(line for line in (EXAMPLES / "cron/atftctl").read_text().splitlines() if not line.startswith("#"))
    *when, user, first = line.split()[:7]
    assert (when, user, first) == (["*"] * 5, "atft", "cd")
    assert "%" not in line, "cron would end the command there"


def test_the_steps_of_the_workflow_run_in_a_shell(project: Project, tmp_path: Path) -> None:
    """As a runner does: each step by bash -e, the later ones only if none failed, or if they say so."""
    project.replace(RUNBOOK, 'probe: ["{python}", "-m", atftctl.trainer, probe]', f'probe: ["{{python}}", {PROBE}]')
    assert project.run(*OOM, "--no-restart").code == 0
    project.start_trainer()
    (tmp_path / "diagnosis.txt").write_text("of the run before")
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "atftctl").write_text(f'#!/bin/sh\nexec {" ".join(project.argv())} "$@"\n')
    (shims / "atftctl").chmod(0o755)
    job = yaml.safe_load((EXAMPLES / "github/verify.yml").read_text())["jobs"]["verify"]
    env = {**project.env, "PATH": f"{shims}:{project.env['PATH']}", "ATFT": str(project.root)}
    assert set(job["env"]) == {"ATFT"}
    failed, ran = False, []
    for step in job["steps"]:
        wanted = {"success()": not failed, "failure()": failed, "always()": True}
        if "run" not in step or not wanted[step.get("if", "success()")]:
            continue
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step["run"]], cwd=tmp_path, env=env)
        failed = failed or done.returncode != 0
        ran.append((step["name"], done.returncode))
    assert ran[1:] == [
        ("State of the service", 0),
        ("Verify", 6),
        ("Diagnosis", 0),
        ("Page of the newest incident", 0),
    ], "without a baseline: inconclusive"
    assert "atftctl incident" in (tmp_path / "incident.html").read_text()
    [upload] = [step for step in job["steps"] if "uses" in step]
    assert upload["if"] == "always()"
    assert [name for name in upload["with"]["path"].split() if not (tmp_path / name).exists()] == []


def test_the_watcher_keeps_the_metrics_file(project: Project) -> None:
    project.start_trainer()
    watcher = project.start("watch", "--interval", "0.1", "--plain", "--metrics-file", "state.prom")
    try:
        wait_for(lambda: (project.root / "state.prom").exists())
        assert values(project)["atftctl_trainer_up"] == 1
        assert project.run("trainer", "stop").code == 0
        wait_for(lambda: values(project)["atftctl_trainer_up"] == 0)
        (project.root / "state.prom").unlink()
        (project.root / "state.prom").mkdir()  # the place is taken: said once, and the watcher goes on
        wait_for(lambda: watcher.stdout and "the metrics file is not up to date" in watcher.stdout.readline())
        (project.root / "state.prom").rmdir()
        wait_for(lambda: (project.root / "state.prom").is_file())
        assert watcher.poll() is None
    finally:
        watcher.terminate()
        watcher.communicate()


def test_a_look_for_cron_writes_the_metrics_file_too(project: Project) -> None:
    assert project.run("watch", "--once", "--metrics-file", "state.prom").code == 6
    assert values(project)["atftctl_trainer_state never started"] == 1
    assert project.run("watch", "--once", "--metrics-file", "state.txt").code == 2
    assert project.run("watch", "--metrics-file", "no/folder/state.prom").code == 3
    (project.root / "taken.prom").mkdir()
    ended = project.run("watch", "--once", "--metrics-file", "taken.prom")
    assert ended.code == 6 and "the metrics file is not up to date" in ended.err, "its verdict counts"


def test_the_files_of_two_projects_have_no_sample_in_common(project: Project, tmp_path: Path) -> None:
    """Where two files have the same sample, node exporter drops one of them."""
    other = tmp_path / "other"
    shutil.copytree(project.root, other)
    names = []
    for folder in (project.root, other):
        assert project.run("status", "--metrics-file", f"{tmp_path}/{folder.name}.prom", cwd=folder).code == 0
        lines = (tmp_path / f"{folder.name}.prom").read_text().splitlines()
        names.append({line.rpartition(" ")[0] for line in lines if not line.startswith("#")})
    assert names[0] and not names[0] & names[1]
