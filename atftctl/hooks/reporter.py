"""Reports a training run to atftctl, and takes atftctl's requests to it. One file, to be copied into any project.

    from atftctl.hooks.reporter import Reporter

    with Reporter(configs=["config.yaml"]) as reporter:
        reporter.started(step=first, resumed_from="last")
        for step in range(first + 1, steps + 1):
            loss = train_one_step()
            reporter.step(step, loss=loss)
            if step % 100 == 0 or reporter.stop_requested:
                reporter.save("models/last.pt", lambda path: torch.save(state, path))
            if reporter.stop_requested:
                break

Python 3.9 and its standard library; PyYAML only for configs in YAML. An I/O error never ends the run: it is told once
on stderr. A newer trainer that was started in the same folder does (exit code 17), and nothing is saved any more. Of
several processes only that of rank 0 reports.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import itertools
import json
import math
import os
import re
import secrets
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Callable, NoReturn, Union

# A copy of what atftctl/protocol says; a test holds them equal.
EVENT_VERSION = 1
EVENTS, METRICS, HEARTBEAT = "logs/events.jsonl", "logs/metrics.csv", "logs/heartbeat.json"
REQUEST, WANT_STOP, WANT_RELOAD = "logs/request.json", "stop", "reload"
RUN_ID, GENERATION, GENERATION_ROOT = "ATFTCTL_RUN_ID", "ATFTCTL_GENERATION", "ATFTCTL_GENERATION_ROOT"
COUNTER, STAGING, GENERATION_COLUMN = ".atftctl/generation", "run", "generation"
BESIDE, FENCED_FOLDER = ".atftctl-run-", ".fenced"
MARK, MARK_TEXT = ".gitignore", b"# atftctl: unfinished files of one trainer\n*\n"
STARTED, FIRST_STEP, CHECKPOINT, EVALUATED = "started", "first_step", "checkpoint", "evaluated"
OOM, ANOMALY, SAVE_FAILED, WORKER_LOST = "oom", "anomaly", "save_failed", "worker_lost"
FENCED, WARNING, STOPPED = "fenced", "warning", "stopped"
RELOADED, RELOAD_REFUSED = "reloaded", "reload_refused"
EXIT_FINISHED, EXIT_CRASHED, EXIT_STOPPED = 0, 1, 10
EXIT_ANOMALY, EXIT_SAVE_FAILED, EXIT_FENCED = 12, 15, 17

FATAL = (OOM, ANOMALY, STOPPED, WORKER_LOST, SAVE_FAILED, FENCED)  # the machine may be about to fail
LOOK_S = 0.2  # between two looks for requests and a newer trainer, and between two writes of metrics
HEARTBEAT_S = 0.5
HEARTBEAT_BYTES = 256
STEP_LIMIT_S, STEP_FACTOR = 60.0, 5.0  # how long a step may last, at least; and as a multiple of the slowest so far
MOST_UNWRITTEN = 100  # events that are kept until the disk has room
LONGEST_NUMBER, LONGEST_REQUEST = 64, 64 << 10  # bytes that are read
SHARED = stat.S_ISGID | stat.S_IWGRP
DEFAULT_ACL = "system.posix_acl_default"
RANKS = (  # of Slurm, Lightning and the launchers of MPI; all are 0 in the main process
    "SLURM_PROCID", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK",
    "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK",
)  # fmt: skip
SIZES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
PathLike = Union[str, "os.PathLike[str]"]


# -- lines, metrics, heartbeat ------------------------------------------------------------------------------------


def event_line(event: str, **fields: Any) -> bytes:
    """One event as a line of JSON, newline included; numbers that are not finite become strings."""
    record = {"v": EVENT_VERSION, "event": event, **fields}
    return (json.dumps(plain(record), ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "replace")


class LineFile:
    """A file to which lines are appended.

    A line for which a full disk has no room is lost. A line that was written only in part is ended before the next
    line, so that the next line is whole. When the file was renamed by a rotation, a new file is begun under its name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.empty = False
        self._file: int | None = None
        self._identity = (0, 0)
        self._torn = False
        self._written = 0  # bytes, by the last call

    def open(self) -> None:
        """Open the file, and make it where it is missing. Raises OSError."""
        self._file = open_file(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        facts = os.fstat(self._file)
        self._identity = facts.st_dev, facts.st_ino
        self.empty = facts.st_size == 0
        self._torn = facts.st_size > 0 and os.pread(self._file, 1, facts.st_size - 1) != b"\n"

    def reopen_if_rotated(self) -> bool:
        """Open the path again if it no longer names the open file; return whether the file is empty: it is new, or was
        copied and emptied (logrotate: copytruncate)."""
        try:
            facts = self.path.stat()
            if (facts.st_dev, facts.st_ino) == self._identity:
                self._torn = self._torn and facts.st_size > 0
                return facts.st_size == 0
        except FileNotFoundError:
            pass
        except OSError:
            return False
        old = self._file
        try:
            self.open()
        except OSError:
            return False
        if old is not None:
            os.close(old)
        return self.empty

    def append(self, lines: bytes, *, durable: bool = False) -> OSError | None:
        """Write lines, with their line breaks; return the error that prevented it. `durable` waits for the disk."""
        self.reopen_if_rotated()
        whole = b"\n" + lines if self._torn else lines
        try:
            if self._file is None:
                self.open()
            assert self._file is not None
            self._written = 0
            self._written = written = os.write(self._file, whole)
            self._torn = written < len(whole)
            if durable:
                os.fsync(self._file)
        except OSError as error:
            return error
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if self._torn else None

    def clear(self) -> None:
        """Remove the beginning of a line from a file that was empty, and that nobody else has written to."""
        with suppress(OSError):
            if self._file is not None and self.empty and os.fstat(self._file).st_size == self._written:
                os.ftruncate(self._file, 0)
                self._torn = False


class MetricsFile:
    """A CSV file with one row a step. A file with other columns is renamed, as by a rotation, and begun anew."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self._lines = LineFile(path)
        self._headed = False

    def begin(self) -> None:
        """Open the file and write the header where it is missing. Raises OSError where it can't be opened."""
        self._lines.open()
        if not self._lines.empty and first_line(self._lines.path) != self._header():
            self._rename()
        self._headed = not self._lines.empty
        self._write_header()

    def append(self, rows: Iterable[Mapping[str, Any]]) -> OSError | None:
        """Write rows; a column that a row lacks stays empty. Return the error that prevented it."""
        self._headed &= not self._lines.reopen_if_rotated()
        error = self._write_header()
        if error:
            return error
        lines = (",".join(_cell(row.get(name)) for name in self.columns) + "\n" for row in rows)
        return self._lines.append("".join(lines).encode("utf-8", "replace"))

    def _write_header(self) -> OSError | None:
        """Write the header where it is missing, whole or not at all: no row is understood without it."""
        error = None if self._headed else self._lines.append(f"{self._header()}\n".encode())
        if error:
            self._lines.clear()
        self._headed = error is None
        return error

    def _header(self) -> str:
        return ",".join(map(_cell, self.columns))

    def _rename(self) -> None:
        path = self._lines.path
        names = (path.with_name(f"{path.name}.{number}") for number in itertools.count(1))
        with suppress(OSError):
            path.rename(next(name for name in names if not name.exists()))
        self._lines.reopen_if_rotated()


def open_file(path: Path, flags: int) -> int:
    """Open a file. Raises OSError, also for a pipe: who writes to one waits for its reader."""
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    if stat.S_ISFIFO(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is a pipe, and no file")
    return handle


def first_line(path: Path) -> str:
    """Return the first line (at most 64 KiB of it) without its line break. Raises OSError."""
    with open(open_file(path, os.O_RDONLY), "rb") as file:
        return file.readline(64 << 10).decode("utf-8", "replace").rstrip("\r\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.8g}"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


class HeartbeatFile:
    """A small file that names the present section of the run. It is overwritten in place, always with the same length:
    this works on a full disk too, where a healthy run would otherwise look dead."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def write(self, run_id: str, section: str, step: int, limit_s: float) -> None:
        """Say what the run does now, and how many seconds it may last. An error is ignored."""
        beat = {"t": time.time(), "pid": os.getpid(), "run_id": run_id}
        beat.update(section=section, step=step, limit_s=limit_s)
        with suppress(OSError):
            if self._file is None:
                self._file = open_file(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.pwrite(self._file, json.dumps(beat).ljust(HEARTBEAT_BYTES).encode(), 0)


# -- settings -----------------------------------------------------------------------------------------------------

# A number as YAML 1.2 and OmegaConf read it. PyYAML alone would read `1e-7` as a string.
NUMBER = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+|[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)\Z"
)


def read_settings(paths: Iterable[PathLike]) -> dict[str, Any]:
    """The settings of config files, later ones before earlier ones. Raises OSError, and ValueError for a file that
    can't be read as a mapping; ImportError for YAML without PyYAML."""
    layers = []
    for path in paths:
        text = Path(path).read_text(encoding="utf-8-sig")
        value = _parse(text)
        if not isinstance(value, Mapping) and value is not None:
            raise ValueError(f"{os.fspath(path)} holds no settings by name")
        layers.append(value or {})
    return merge_settings(layers)


def _parse(text: str) -> Any:
    if text.lstrip(" \t\r\n").startswith("{"):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    import yaml

    try:
        return yaml.load(text, Loader=_yaml_loader(yaml))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, KeyError, IndexError, AttributeError, TypeError) as error:
        raise ValueError(f"a config can't be read: {error}") from None


def _yaml_loader(yaml: Any) -> Any:
    """PyYAML's safe loader with atftctl's rules: `1e-7` is a number, a date is a string, a key is always a string."""

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            self.flatten_mapping(node)
            return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}

        def construct_number(self, node: Any) -> Any:
            value = float(self.construct_yaml_float(node))
            return str(node.value) if math.isinf(value) and "inf" not in node.value.lower() else value

    Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_number)
    for tag in ("value", "merge"):
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", Loader.construct_yaml_str)
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))
    Loader.yaml_implicit_resolvers = {
        first: [resolver for resolver in resolvers if resolver[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    return Loader


def merge_settings(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge config files in order: mappings key by key; any other value replaces the earlier one."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, Mapping):
                merged[key] = merge_settings([below, value] if isinstance(below, Mapping) else [value])
            else:
                merged[key] = value
    return merged


def config_digest(settings: Mapping[str, Any]) -> str:
    """The SHA-256 of the settings, by which atftctl knows that these are in effect."""
    text = json.dumps(plain(settings), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def flatten(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """The settings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat.update(flatten(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value})
    return flat


def plain(value: Any) -> Any:
    """The value as JSON has it: 1.0 as 1, a number that is not finite as a string, anything unknown as its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    return str(value)


# -- generations --------------------------------------------------------------------------------------------------


class FencedError(Exception):
    """A newer trainer was started in this run folder, so this one must not save any more. `newer`: the number of that
    start; 0 where it is not known."""

    def __init__(self, message: str = "a newer trainer was started", newer: int = 0) -> None:
        super().__init__(message)
        self.newer = newer


class Fence:
    """The number of this start in one run folder, and the folder that its unfinished files are staged in.

    A newer start renames that folder: a file that is renamed out of it too late is refused by the kernel. A trainer
    that was started by hand has the number 0; it counts as fenced when a trainer is started after it.
    """

    def __init__(self, root: Path) -> None:
        self.number = own_generation(os.environ, root)
        self._root = root
        self._known = self.number or newest_generation(root)
        self._only_beside = False

    def problem(self) -> FencedError | None:
        """Return the error that a newer trainer was started; None where none was, or the counter can't be read."""
        newest = newest_generation(self._root)
        if newest <= self._known:
            return None
        own = self.number or "started by hand"
        return FencedError(f"trainer generation {newest} was started after this one ({own})", newest)

    def check(self) -> None:
        """Raises FencedError where a newer trainer was started."""
        problem = self.problem()
        if problem:
            raise problem

    def stage(self, target: Path) -> Path:
        """Return the path for a new file that is to replace `target`, in the folder of this generation.

        Raises FencedError; OSError where there can be no such folder.
        """
        self.check()
        folder = self._folder(target.parent)
        return folder / f".{target.name}.{secrets.token_hex(4)}.{os.getpid()}.tmp"

    def publish(self, staged: Path, target: Path) -> None:
        """Rename a staged file to `target`. Raises FencedError where a newer trainer was started; OSError."""
        self.check()
        try:
            staged.replace(target)
        except FileNotFoundError:
            self.refuse_fenced(staged.parent)
            raise

    def refuse_fenced(self, folder: Path) -> None:
        """Raises FencedError where this folder of staged files is missing because it was renamed."""
        self.check()
        if self.number and os.path.lexists(f"{folder}{FENCED_FOLDER}"):
            raise FencedError(f"the folder {folder.name} of this trainer was renamed: it counts as stopped")

    def stage_beside(self, error: OSError) -> bool:
        """Stage beside the target from now on, if this error says that a rename from the run folder can't work; return
        whether that is new."""
        new = error.errno == errno.EXDEV and not self._only_beside
        self._only_beside |= new
        return new

    def may_share(self, target_folder: Path) -> bool:
        """Can a file be renamed from the run folder into the target's?"""
        return target_folder.stat().st_dev == self._root.stat().st_dev

    def same_rights(self, target_folder: Path) -> bool:
        """Would a new file get the same group and access rights in the shared folder as in the target's? Not known of
        a folder that hands its own down."""
        if target_folder.stat().st_mode & stat.S_ISGID:
            return False
        try:
            return not os.getxattr(target_folder, DEFAULT_ACL)
        except (OSError, AttributeError):
            return True

    @property
    def shared_folder(self) -> Path:
        """The folder of this generation in the run folder."""
        return self._root / STAGING / str(self.number)

    def beside(self, target_folder: Path) -> Path:
        """The folder of this generation beside a target."""
        return target_folder / f"{BESIDE}{self.number}"

    def _folder(self, target_folder: Path) -> Path:
        if not self._only_beside and self.may_share(target_folder):
            with suppress(OSError):
                if not is_folder(self.shared_folder.parent):
                    new_folder(self.shared_folder.parent)
                self._make(self.shared_folder)
                # Another user may have made it: the one who starts trainers, and has more rights than the trainer.
                writable = os.access(self.shared_folder, os.W_OK | os.X_OK)
                if writable and self.same_rights(target_folder):
                    return self.shared_folder
        beside = self.beside(target_folder)
        self._make(beside)
        return beside

    def _make(self, folder: Path) -> None:
        """Make the folder where it is missing and was not renamed. Raises FencedError; FileExistsError where somebody
        else has made it; OSError."""
        if is_folder(folder):
            if read_mark(folder) == MARK_TEXT:
                return
            if not _is_empty(folder):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
        else:
            self.refuse_fenced(folder)
            new_folder(folder)
        try:
            (folder / MARK).write_bytes(MARK_TEXT)
        except FileNotFoundError:
            self.refuse_fenced(folder)
            raise
        # After the folder is there: a start that is not seen now comes later, finds the folder and renames it.
        self.check()


def run_folder(environment: Mapping[str, str]) -> Path:
    """The folder that atftctl has started this run in, where the current folder lies in it, and in no other run folder
    inside that one; else the current folder."""
    here = Path.cwd()
    given = environment.get(GENERATION_ROOT, "")
    for folder in (here, *here.parents) if given else ():
        with suppress(OSError, ValueError):
            if folder.samefile(given):
                return folder
        if is_folder(folder / ".atftctl"):
            break
    return here


def own_generation(environment: Mapping[str, str], root: Path) -> int:
    """The number that this process was given when it was started; 0 where it was given none, or one of another run
    folder than `root`."""
    given = environment.get(GENERATION_ROOT, "")
    try:
        if given and not Path(given).samefile(root):
            return 0
    except (OSError, ValueError):
        pass  # a container may have the run folder elsewhere
    return _generation(environment.get(GENERATION, ""))


def newest_generation(root: Path) -> int:
    """The number of the newest start in this run folder; 0 where it can't be read, or a stranger may have written it:
    it must belong to root, to this user or to the owner of the run folder, and not everybody may write it."""
    data = read_regular(root / COUNTER, LONGEST_NUMBER, trusted_beside=root)
    return _generation((data or b"").decode("ascii", "replace"))


def _generation(text: str) -> int:
    text = text[:-1] if text.endswith("\n") else text
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,8}", text) else 0


def read_regular(path: Path, most: int, *, trusted_beside: Path | None = None) -> bytes | None:
    """At most so many bytes of a regular file; None where there is none. Follows no symlink, waits for no pipe.
    `trusted_beside`: None, too, where a stranger to this folder may have written it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        facts = os.fstat(handle)
        if trusted_beside is not None:
            owners = (0, os.geteuid(), trusted_beside.stat().st_uid)
            if facts.st_mode & stat.S_IWOTH or facts.st_uid not in owners:
                return None
        return os.read(handle, most) if stat.S_ISREG(facts.st_mode) else None
    except OSError:
        return None
    finally:
        os.close(handle)


def is_folder(path: Path) -> bool:
    """Is this a folder, and not a symlink to one?"""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def read_mark(folder: Path) -> bytes | None:
    """The content of the folder's mark; None where there is no such regular file."""
    return read_regular(folder / MARK, LONGEST_NUMBER)


def new_folder(path: Path) -> None:
    """Make a folder; a team that shares the folder above it shares this one, too. Raises FileExistsError for any file
    of that name; OSError."""
    path.mkdir()
    mode = stat.S_IMODE(path.parent.stat().st_mode)
    if mode & SHARED == SHARED:
        path.chmod(mode)


def _is_empty(folder: Path) -> bool:
    """Is nothing in this folder but, at most, the beginning of a mark, as after a crash or on a full disk?"""
    names = [path.name for path in folder.iterdir()]
    if names == [MARK]:
        text = read_mark(folder)
        return text is not None and MARK_TEXT.startswith(text)
    return not names


# -- requests -----------------------------------------------------------------------------------------------------


class Requests:
    """Requests to the running trainer: to stop (SIGTERM, SIGINT, or a file), or to take up new settings (a file).

    A signal lets the current step be finished and saved. A second signal changes nothing.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        self._path = root / REQUEST
        self._run_id = run_id
        self._stop = False
        self.listen()

    def listen(self) -> None:
        """Receive signals from now on. Outside the main thread, which alone receives signals, only the file counts."""
        self._pid = os.getpid()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handle_signal)
            signal.signal(signal.SIGINT, self._handle_signal)

    def stop_requested(self) -> bool:
        """Return whether a signal, or a request that was taken, asked this process to stop."""
        return self._stop

    def request_stop(self) -> None:
        """Count as asked to stop: another process of the run was."""
        self._stop = True

    def take_request(self) -> dict[str, Any]:
        """Return the waiting request and delete its file; {} if there is none.

        A request for another run is a leftover: its file is deleted, and {} is returned.
        """
        if not os.path.lexists(self._path):
            return {}
        try:
            request = json.loads(read_regular(self._path, LONGEST_REQUEST) or b"{}")
        except (ValueError, RecursionError):
            request = {}
        with suppress(OSError):
            self._path.unlink()
        if not isinstance(request, dict) or request.get("run_id") != self._run_id:
            return {}
        if request.get("want") == WANT_STOP:
            self._stop = True
        return request

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != self._pid:  # a forked worker ends as it would without this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._stop = True


# -- the reporter -------------------------------------------------------------------------------------------------

OnReload = Callable[[dict[str, Any], str], object]  # (new settings, checkpoint to go on from: last, best or scratch)


class Reporter:
    """Reports one run, and takes requests to it. `stop_requested`: save, and end the loop.

    Rows of metrics are kept for at most `every_s` seconds before they are written, so that a step costs little.
    """

    def __init__(
        self,
        root: PathLike | None = None,
        *,
        configs: Sequence[PathLike] = (),
        settings: Mapping[str, Any] | None = None,
        on_reload: OnReload | None = None,
        stop_on_nan: bool = False,
        finite: Sequence[str] = ("loss",),
        is_main: bool | None = None,
        every_s: float = LOOK_S,
    ) -> None:
        """`root`: the run folder; by default the one that atftctl has started this run in, also where the program has
        gone into a folder below it (Hydra does), else the current one. `configs`: the files that the runbook lists, in
        its order; their settings are read into `self.settings`, or given as `settings` by a caller who has read them.
        `on_reload`: called with new settings between two steps; raises to refuse them. `finite`: the metrics that must
        be finite numbers; `stop_on_nan`: end the run with exit code 12 where one is not. `is_main`: does this process
        report? By default, the one of rank 0 does.

        Raises OSError, ValueError or ImportError for a config that can't be read: nothing was trained yet.
        """
        self.root = run_folder(os.environ) if root is None else Path(root).absolute()
        self._given, self._pid = is_main, os.getpid()
        self._is_main = is_main_process(os.environ) if is_main is None else is_main
        self.run_id = os.environ.get(RUN_ID, "")
        self.configs = [self.root / path for path in configs]
        self.settings: dict[str, Any] = dict(settings) if settings is not None else read_settings(self.configs)
        self.digest = config_digest(self.settings) if settings is not None or configs else ""
        self.fence = Fence(self.root)
        self.requests = Requests(self.root, self.run_id)
        self.current_step = 0
        self._on_reload, self._stop_on_nan, self._finite, self._every_s = on_reload, stop_on_nan, finite, every_s
        self._complained: set[str] = set()
        with self._tolerated(EVENTS):
            if self.is_main:
                (self.root / EVENTS).parent.mkdir(parents=True, exist_ok=True)
        self._events = LineFile(self.root / EVENTS)
        self._heartbeat = HeartbeatFile(self.root / HEARTBEAT)
        self._metrics: MetricsFile | None = None
        self._rows: list[dict[str, Any]] = []
        self._unwritten: list[bytes] = []  # events
        self._first_step_told = self._anomaly_told = self._ended = self._save_failed = False
        self._section, self._slowest_s, self._rss_mb = "start", 0.0, 0.0
        self._last = self._looked = time.monotonic()
        self._beaten = self._step_s = 0.0

    # -- what the loop calls --------------------------------------------------------------------------------------

    @property
    def is_main(self) -> bool:
        """Does this process report? A fork of the one that does, such as a worker that loads data, does not."""
        return self._is_main and os.getpid() == self._pid

    @is_main.setter
    def is_main(self, is_main: bool) -> None:
        self._given, self._is_main, self._pid = is_main, is_main, os.getpid()

    @property
    def stop_requested(self) -> bool:
        """Was this process asked to stop? Then save, and end the loop."""
        return self.requests.stop_requested()

    def started(self, step: int = 0, resumed_from: str = "scratch", **fields: Any) -> None:
        """Report that training begins after this step, and the settings that are in effect. Ends the run (exit code
        17) where a newer trainer was started meanwhile."""
        self.current_step = step
        self._ended = False
        if os.getpid() != self._pid:  # the training is in a fork of the process that has made this object
            self._pid = os.getpid()
            self._is_main = is_main_process(os.environ) if self._given is None else self._given
            self.requests.listen()
        self.leave_if_fenced()
        effective = fields.pop("effective", None) or flatten(self.settings)
        fields.update(digest=self.digest, effective=effective, resumed_from=resumed_from)
        self.event(STARTED, **fields)
        self._last = time.monotonic()
        self._beat("start", 1800.0)

    def step(self, step: int, **metrics: Any) -> None:
        """Report that this step is done, with its metrics as numbers: `loss`, `grad_norm`, `lr`, or any others. Without
        any, there is no row of metrics.

        Looks for requests and for a newer trainer now and then. Raises SystemExit: 17 where a newer trainer was
        started, 12 where `stop_on_nan` is set and a metric is not finite.
        """
        now = time.monotonic()
        self._step_s, self._last = now - self._last, now
        self.current_step = step
        if not self.is_main:
            return
        if metrics:
            self.metrics(step, **metrics)
        if not self._first_step_told:
            self._first_step_told = True
            loss = _number(metrics.get("loss"))
            self.event(FIRST_STEP, digest=self.digest, loss=loss, step_s=self._step_s)
            self._look(now)
            return
        self._slowest_s = max(self._slowest_s, self._step_s)
        if now - self._looked >= self._every_s:
            self._look(now)

    def metrics(self, step: int, **values: Any) -> None:
        """Report the metrics of a step, for a loop that knows them later than that the step is done."""
        if not self.is_main:
            return
        # A tensor is asked for its value when it is written: each question would wait for the graphics card.
        row = {name: _without_graph(value) for name, value in values.items()}
        row["step"], row["step_s"] = step, self._step_s
        self._rows.append(row)

    def evaluated(self, **values: Any) -> None:
        """Report the result of an evaluation."""
        self.event(EVALUATED, **{name: _number(value) for name, value in values.items()})
        self._last = time.monotonic()

    def save(self, path: PathLike, write: Callable[[str], object]) -> bool:
        """Save a checkpoint: call `write` with the path of a new file, make that durable, and rename it to `path`,
        relative to the run folder. Returns whether it was saved: not outside the main process, and not on an I/O error,
        which is reported; the old file is then intact. Raises SystemExit (17) where a newer trainer was started."""
        if not self.is_main:
            return False
        self.flush()  # weights that are not finite must not replace others
        target = self.root / path
        with self.section("save", 300.0):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                digest = self._save(target, write)
            except FencedError as error:
                self._leave(error)
            except Exception as error:
                # torch has a RuntimeError for a full disk; any other error of `write` is not ours to swallow.
                if not isinstance(error, OSError) and not _is_disk_error(error):
                    raise
                self._save_failed = True
                self.event(SAVE_FAILED, path=self._name(target), message=str(error)[:300])
                self._complain(self._name(target), error)
                return False
        self._save_failed = False
        self.event(CHECKPOINT, path=self._name(target), sha256=digest)
        return True

    def checkpoint(self, path: PathLike) -> None:
        """Report a checkpoint, a file or a folder, that something else has saved."""
        if not self.is_main:
            return
        target = self.root / path
        with self._tolerated(self._name(target)):
            self.event(CHECKPOINT, path=self._name(target), sha256=hash_of(target))

    @contextmanager
    def section(self, name: str, limit_s: float) -> Iterator[None]:
        """Around an evaluation or anything else that is no step: it may last `limit_s` seconds before atftctl takes
        the trainer for stuck."""
        self.begin_section(name, limit_s)
        try:
            yield
        finally:
            self.end_section()

    def begin_section(self, name: str, limit_s: float) -> None:
        """As `section`, for callbacks; may be repeated while it lasts."""
        if name != self._section or time.monotonic() - self._beaten >= HEARTBEAT_S:
            self._beat(name, limit_s)

    def end_section(self) -> None:
        """The steps go on; the time of the section is not counted as that of a step."""
        self._last = time.monotonic()
        self._beat("step", self._step_limit_s())

    def anomaly(self, quantity: str, value: Any, *, recoverable: bool = False) -> None:
        """Report that a quantity is not finite."""
        self.event(ANOMALY, quantity=quantity, value=_number(value), recoverable=recoverable)

    def event(self, name: str, **fields: Any) -> None:
        """Write an event, in the main process only. One for which the disk has no room now is written later."""
        if not self.is_main:
            return
        self.flush()
        mine = {"t": time.time(), "pid": os.getpid(), "run_id": self.run_id, "generation": self.fence.number}
        self._write_events(event_line(name, **{**mine, "step": self.current_step, **fields}), durable=name in FATAL)

    def _write_events(self, lines: bytes = b"", *, durable: bool = False) -> None:
        """Write these lines after those that could not be written: the start of a run may be among them."""
        waiting = [*self._unwritten, *([lines] if lines else [])]
        for number, line in enumerate(waiting):
            error = self._events.append(line, durable=durable)
            if error:
                self._complain(EVENTS, error)
                self._unwritten = waiting[number:][:MOST_UNWRITTEN]
                return
        self._unwritten = []

    def flush(self) -> None:
        """Write the rows of metrics that are still kept, and judge them. Raises SystemExit (12) where `stop_on_nan` is
        set and a metric is not finite."""
        if not self._rows:
            return
        kept, self._rows = self._rows, []
        self._rss_mb = self._rss_mb or rss_anon_mb()  # the first row comes before the first heartbeat
        same = {"rss_mb": self._rss_mb, GENERATION_COLUMN: self.fence.number}
        rows = [{**same, **{name: _number(value) for name, value in row.items()}} for row in kept]
        with self._tolerated(METRICS):
            self._complain(METRICS, self._metrics_for(rows).append(rows))
        for row in rows:
            self._judge(row)

    def finish(self, reason: str = "") -> None:
        """Report the end of the training. Raises SystemExit (10, or 15 without a checkpoint) where it was asked to
        stop; in a run of several processes 0, since a launcher takes any other code for a failure."""
        if self._ended:
            return
        if not self.stop_requested:
            self.ended(EXIT_FINISHED, reason or "training is done")
            return
        code = EXIT_SAVE_FAILED if self._save_failed else EXIT_STOPPED
        self.ended(code, reason or "asked to stop")
        raise SystemExit(0 if code == EXIT_STOPPED and _world_size(os.environ) > 1 else code)

    def ended(self, code: int, reason: str) -> None:
        """Write the last event."""
        if not self._ended:
            self._ended = True
            self.event(STOPPED, exit_code=code, reason=reason[:500])

    def failed(self, error: BaseException) -> None:
        """Report that an error ends the run."""
        if self._ended:
            return
        self._stop_on_nan = False  # this error ends the run, whatever the last metrics are
        if isinstance(error, SystemExit):
            self.ended(error.code if isinstance(error.code, int) else bool(error.code), "the program has ended")
            return
        if is_out_of_memory(error):
            self.event(OOM, message=str(error)[:300], section=self._section, recoverable=False)
        self.ended(EXIT_CRASHED, f"{type(error).__name__}: {error}")

    def report_crashes(self) -> None:
        """Report an error that nobody catches: for a program whose loop can't be wrapped in `with`."""
        before = sys.excepthook

        def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            self.failed(error)
            before(kind, error, trace)

        sys.excepthook = hook

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.failed(error)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """What is done now and then, at the end of a step."""
        self._looked = now
        self.leave_if_fenced()
        request = self.requests.take_request()
        if request.get("want") == WANT_RELOAD:
            self._reload(request)
        beat = now - self._beaten >= HEARTBEAT_S or self._section != "step"
        if beat:
            self._rss_mb = rss_anon_mb()
        self.flush()
        if self._unwritten:
            self._write_events()
        if beat:
            self._beat("step", self._step_limit_s())

    def _beat(self, section: str, limit_s: float) -> None:
        self._section, self._beaten = section, time.monotonic()
        if self.is_main:
            self._heartbeat.write(self.run_id, section, self.current_step, limit_s)

    def _step_limit_s(self) -> float:
        return max(STEP_LIMIT_S, STEP_FACTOR * self._slowest_s)

    def _judge(self, row: Mapping[str, Any]) -> None:
        """Report the first of a series of steps with a value that is not finite."""
        names = [name for name in self._finite if name in row and not _is_finite(row[name])]
        if names and not self._anomaly_told:
            value, recoverable = row[names[0]], not self._stop_on_nan
            self.event(ANOMALY, quantity=names[0], value=value, recoverable=recoverable, step=row["step"])
        self._anomaly_told = bool(names)
        if names and self._stop_on_nan and not self._ended:
            self.ended(EXIT_ANOMALY, f"{names[0]} is {row[names[0]]}")
            raise SystemExit(EXIT_ANOMALY)

    def _reload(self, request: Mapping[str, Any]) -> None:
        number = request.get("id", "")
        try:
            if self._on_reload is None or _world_size(os.environ) > 1:
                raise ValueError("this trainer takes up new settings only when it is started")
            settings = read_settings(self.configs)
            self._on_reload(settings, str(request.get("resume", "last")))
        except Exception as error:  # noqa: BLE001 - whatever it is, training goes on with the old settings
            self.event(RELOAD_REFUSED, request=number, message=str(error)[:500])
            return
        self.settings, self.digest = settings, config_digest(settings)
        self.event(RELOADED, request=number, digest=self.digest, effective=flatten(settings))

    def leave_if_fenced(self) -> None:
        """Raises SystemExit (17) where a newer trainer was started."""
        problem = self.fence.problem() if self.is_main else None
        if problem:
            self._leave(problem)

    def _leave(self, error: FencedError) -> NoReturn:
        """Raises SystemExit, with the exit code that says that a newer trainer was started."""
        if not self._ended:
            self.event(FENCED, message=str(error), newer=error.newer)
            self.ended(EXIT_FENCED, str(error))
        raise SystemExit(EXIT_FENCED) from error

    def _save(self, target: Path, write: Callable[[str], object]) -> str:
        try:
            return self._stage_and_publish(target, write)
        except OSError as error:
            if not self.fence.stage_beside(error):
                raise
        return self._stage_and_publish(target, write)

    def _stage_and_publish(self, target: Path, write: Callable[[str], object]) -> str:
        staged = self.fence.stage(target)
        try:
            write(str(staged))
            digest = hash_of(staged, durable=True)
            self.fence.publish(staged, target)
        except FileNotFoundError:
            self.fence.refuse_fenced(staged.parent)
            raise
        except BaseException:
            with suppress(OSError):
                staged.unlink()
            raise
        _fsync(target.parent)
        return digest

    def _name(self, path: Path) -> str:
        """The path relative to the run folder, as events have it."""
        name = os.path.relpath(path, self.root)
        return str(path) if name.startswith("..") else name

    def _metrics_for(self, rows: Sequence[Mapping[str, Any]]) -> MetricsFile:
        """The file with columns for these rows: those that it has, and new ones where a row needs them."""
        needed = ["step", *(name for row in rows for name in row), "step_s", "rss_mb", GENERATION_COLUMN]
        present = self._metrics.columns if self._metrics else _columns_of(self.root / METRICS)
        columns = list(dict.fromkeys([*present, *needed]))
        if self._metrics is None or columns != present:
            metrics = MetricsFile(self.root / METRICS, columns)
            metrics.begin()
            self._metrics = metrics
        return self._metrics

    @contextmanager
    def _tolerated(self, name: str) -> Iterator[None]:
        """An I/O error in here is told once, and training goes on."""
        try:
            yield
        except OSError as error:
            self._complain(name, error)

    def _complain(self, name: str, error: BaseException | None) -> None:
        if error is None or name in self._complained:
            return
        self._complained.add(name)
        reason = getattr(error, "strerror", None) or error
        with suppress(OSError, ValueError):
            print(f"atftctl: {name} can't be written ({reason}); training goes on", file=sys.stderr, flush=True)


def is_main_process(environment: Mapping[str, str]) -> bool:
    """Is this the process of rank 0? RANK is torchrun's and decides alone; else each of the others that is set must be
    0."""
    if environment.get("RANK", "").isdigit():
        return int(environment["RANK"]) == 0
    return all(environment.get(name, "0").strip() in ("", "0") for name in RANKS)


def is_out_of_memory(error: BaseException) -> bool:
    """Is this the error of a machine or a graphics card without memory?"""
    named = type(error).__name__ == "OutOfMemoryError"
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or named or any(word in str(error).lower() for word in words)


def hash_of(path: Path, *, durable: bool = False) -> str:
    """The SHA-256 of a file; of a folder that of the list of its files, as `sha256sum` writes it, sorted by name.
    `durable`: only after all is on the disk. Raises OSError."""
    if path.is_dir():
        files = sorted(os.path.relpath(f"{top}/{name}", path) for top, _, names in os.walk(path) for name in names)
        lines = {name: hash_of(path / name, durable=durable) for name in files}
        text = "".join(f"{digest}  {name}\n" for name, digest in lines.items())
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if durable:
            os.fsync(file.fileno())
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def rss_anon_mb() -> float:
    """Return the anonymous resident memory of this process in MB. Pages of mapped files do not count."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(errors="replace").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _columns_of(path: Path) -> list[str]:
    try:
        return next(csv.reader([first_line(path)]), [])
    except (OSError, csv.Error):
        return []


def _number(value: Any) -> Any:
    """A number of the standard library: of a tensor with one value, its value; of anything else, its text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        return value.item()
    except Exception:  # noqa: BLE001 - a metric must not stop a training
        return str(value)


def _without_graph(value: Any) -> Any:
    """The same value, which keeps no graph of a tensor in memory until it is written."""
    return value.detach() if getattr(value, "requires_grad", False) else value


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _is_disk_error(error: Exception) -> bool:
    """torch's writer of checkpoints raises RuntimeError where a file can't be written."""
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        word in text for word in ("PytorchStreamWriter", "inline_container", "unexpected pos", "No space left")
    )


def _world_size(environment: Mapping[str, str]) -> int:
    sizes = (environment.get(name, "") for name in SIZES)
    return max([int(size) for size in sizes if size.isdigit()], default=1)


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
