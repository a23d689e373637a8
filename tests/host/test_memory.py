"""The memory that is available: of the machine, and what each cgroup above us leaves."""

from __future__ import annotations

from pathlib import Path

from atftctl.host.memory import available_mb, kill_count, oom_kills

MB = 1 << 20


def tree(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "proc", root / "cgroup"


def test_this_machine() -> None:
    assert 100 < available_mb() < 100_000_000


def test_the_tightest_limit_counts(tmp_path: Path) -> None:
    proc, groups = tree(tmp_path, {
        "proc/meminfo": f"MemTotal: 9000000 kB\nMemAvailable: {8000 * 1024} kB\n",
        "proc/self/cgroup": "0::/pod/job\n",
        "cgroup/pod/job/memory.max": "max\n", "cgroup/pod/job/memory.current": f"{900 * MB}\n",
        "cgroup/pod/memory.max": f"{2000 * MB}\n", "cgroup/pod/memory.current": f"{1500 * MB}\n",
        "cgroup/pod/memory.stat": f"anon 1\ninactive_file {300 * MB}\n",
    })  # fmt: skip
    assert available_mb(proc, groups) == 800


def test_cgroups_of_version_1(tmp_path: Path) -> None:
    proc, groups = tree(tmp_path, {
        "proc/meminfo": f"MemAvailable: {8000 * 1024} kB\n",
        "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n",
        "cgroup/memory/x/memory.limit_in_bytes": f"{1000 * MB}", "cgroup/memory/x/memory.usage_in_bytes": f"{400 * MB}",
        "cgroup/memory/memory.limit_in_bytes": "9223372036854771712", "cgroup/memory/memory.usage_in_bytes": "5",
    })  # fmt: skip
    assert available_mb(proc, groups) == 600


def test_more_in_use_than_allowed_is_not_the_same_as_not_known(tmp_path: Path) -> None:
    proc, groups = tree(tmp_path, {
        "proc/meminfo": f"MemAvailable: {8000 * 1024} kB\n", "proc/self/cgroup": "0::/x\n",
        "cgroup/x/memory.max": f"{100 * MB}", "cgroup/x/memory.current": f"{200 * MB}",
    })  # fmt: skip
    assert available_mb(proc, groups) == 1, "0 is no limit"
    assert available_mb(tmp_path / "no", tmp_path / "no") == 0
    proc, groups = tree(tmp_path / "odd", {"proc/meminfo": "MemAvailable: much\n", "proc/self/cgroup": "nonsense\n"})
    assert available_mb(proc, groups) == 0


def test_kills_for_memory_are_counted_in_our_cgroup_alone(tmp_path: Path) -> None:
    proc, groups = tree(tmp_path, {
        "proc/self/cgroup": "0::/pod/job\n",
        "cgroup/pod/job/memory.events": "low 0\noom 3\noom_kill 2\noom_group_kill 0\n",
        "cgroup/pod/memory.events": "oom_kill 5\n",
    })  # fmt: skip
    count, name, inode = kill_count(proc, groups)
    assert (count, name) == (2, "pod/job/memory.events"), "those above count others, too"
    (groups / name).write_text("oom_kill 3\n")
    assert oom_kills(name, inode, groups) == 3
    assert oom_kills(name, inode + 1, groups) == -1, "a cgroup that was made anew counts from 0"
    for wrong in ("../proc/self/cgroup", str(groups / name), "pod/memory.current", "pod/none/memory.events", ""):
        assert oom_kills(wrong, inode, groups) == -1
    proc, groups = tree(tmp_path / "v1", {
        "proc/self/cgroup": "4:memory:/x\n",
        "cgroup/memory/x/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    })  # fmt: skip
    assert kill_count(proc, groups)[:2] == (1, "memory/x/memory.oom_control")
    proc, groups = tree(tmp_path / "none", {"proc/self/cgroup": "0::/\n", "cgroup/memory.events": "oom_kill x\n"})
    assert kill_count(proc, groups) == (-1, "", 0), "not known is not none"
