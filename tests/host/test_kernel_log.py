"""The kernel's log: what it says of kills for memory and of graphics cards; where it can't be read, that is said."""

from __future__ import annotations

import os
import time
from pathlib import Path

from atftctl.host import kernel_log

# As /dev/kmsg gives them: level, number, microseconds since the boot, flags; the text.
LOG = """\
6,1,{early},-;Out of memory: Killed process 1111 (python3) total-vm:1kB, anon-rss:1kB, file-rss:0kB
6,2,{late},-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task=python3,pid=4242,uid=1000
3,3,{late},-;Memory cgroup out of memory: Killed process 4242 (python3) total-vm:9000000kB, anon-rss:8000000kB
4,4,{late},-;NVRM: Xid (PCI:0000:65:00): 79, pid=4242, GPU has fallen off the bus.
6,5,{late},-;usb 1-1: new high-speed USB device
 SUBSYSTEM=usb
nonsense
"""


def test_what_it_says_since_a_time(tmp_path: Path) -> None:
    up = time.clock_gettime(time.CLOCK_BOOTTIME)
    path = tmp_path / "kmsg"
    path.write_text(LOG.format(early=int((up - 900) * 1e6), late=int((up - 10) * 1e6)))
    log = kernel_log.read(time.time() - 60, path)
    assert [(kill.pid, kill.program) for kill in log.kills] == [(4242, "python3")] and not log.problem
    assert [card.number for card in log.cards] == [79] and abs(log.cards[0].time - time.time() + 10) < 60
    assert len(kernel_log.read(0, path).kills) == 2


def test_what_cannot_be_read_is_said_and_nothing_waits(tmp_path: Path) -> None:
    assert "can't be read" in kernel_log.read(0, tmp_path / "none").problem
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "kmsg")
    assert kernel_log.read(0, link).problem
    os.mkfifo(tmp_path / "pipe")
    assert not kernel_log.read(0, tmp_path / "pipe").kills


def test_this_machine() -> None:
    begun = time.monotonic()
    kernel_log.read(0)
    assert time.monotonic() - begun < 60
