"""Messages as CUDA, NCCL, allocators, the DataLoader, file systems, Python and torchrun print them: of which kind each is,
and what it is of a fault."""

from __future__ import annotations

import pytest

from atftctl.domain.log_lines.matcher import Matcher
from atftctl.domain.log_lines.rules import ErrorPattern, Logs
from atftctl.domain.log_lines.signatures import KNOWN, wanted
from atftctl.domain.log_lines.survey import LogSurvey
from atftctl.domain.log_lines.tally import Tally

MATCHER = Matcher(wanted(Logs()))
ERROR = "ERROR:torch.distributed.elastic.multiprocessing.api:"
NCCL = "[rank0]:[E321 02:07:08.408271257 ProcessGroupNCCL.cpp:607] [Rank 0] "
EXAMPLES = {
    "cuda-memory": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.77 GiB",
        "RuntimeError: CUDA error: out of memory",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "node1:534:1763 [3] NCCL WARN Cuda failure 2 'out of memory'",
    ),
    "host-memory": (
        ("RuntimeError: [enforce fail at alloc_cpu.cpp:83] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
        "to allocate 4096000000 bytes. Error code 12 (Cannot allocate memory)"),
        "MemoryError",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.45 GiB for an array with shape (1000000000,)",
        "OSError: [Errno 12] Cannot allocate memory",
    ),
    "scheduler-memory": (
        "slurmstepd: error: Detected 1 oom_kill event in StepId=4711.batch. Some of the step tasks have been OOM Killed.",
        "    reason: OOMKilled",
    ),
    "kernel-memory": (
        "[  812.3] Memory cgroup out of memory: Killed process 4242 (python3) total-vm:9000kB, anon-rss:8000kB",
        "kernel: Out of memory: Killed process 4242 (python3) total-vm:90000kB",
    ),
    "cuda-assert": ("RuntimeError: CUDA error: device-side assert triggered",),
    "cuda-address": (
        "RuntimeError: CUDA error: an illegal memory access was encountered",
        "RuntimeError: CUDA error: misaligned address",
    ),
    "cuda-hardware": (
        "RuntimeError: CUDA error: uncorrectable ECC error encountered",
        "NVRM: Xid (PCI:0000:65:00): 79, pid=4242, GPU has fallen off the bus.",
    ),
    "cuda-xid": ("NVRM: Xid (PCI:0000:41:00): 45, pid=999, Ch 8", "NVRM: Xid (PCI:0000:41:00): 31, pid=9, MMU Fault"),
    "cuda-launch": (
        "RuntimeError: CUDA error: unspecified launch failure",
        "RuntimeError: CUDA error: the launch timed out and was terminated",
    ),
    "cuda-device": (
        "RuntimeError: No CUDA GPUs are available",
        "RuntimeError: CUDA error: no kernel image is available for execution on the device",
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU",
        "RuntimeError: CUDA error: all CUDA-capable devices are busy or unavailable",
    ),
    "cuda-library": (
        "RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb)`",
    ),
    "nccl-abort": (
        ("[rank3]:[E424 01:11:21.1 ProcessGroupNCCL.cpp:685] To avoid data inconsistency, we are taking the entire process "
        "down."),
        f"{NCCL}Exception (either an error or timeout) detected by watchdog at work: 1580, last enqueued NCCL work: 1582",
        ("terminate called after throwing an instance of 'c10::DistBackendError' what(): [PG 0 Rank 3] Process group "
        "watchdog thread terminated with exception: [Rank 3] Watchdog caught collective operation timeout"),
    ),
    "nccl-timeout": (
        (f"{NCCL}Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1580, OpType=ALLREDUCE, "
        "Timeout(ms)=600000) ran for 600060 milliseconds before timing out."),
    ),
    "nccl-peer": (
        "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.",
        "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.2]:31415",
        "RuntimeError: [1] is setting up NCCL communicator and retrieving ncclUniqueId from [0]: Connection reset by peer",
    ),
    "nccl-usage": ("node1:12:12 [0] init.cc:795 NCCL WARN Duplicate GPU detected : rank 0 and rank 1 both on CUDA device 65000",),
    "nccl-system": (
        "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.",
    ),
    "nccl-cuda": (
        "ncclUnhandledCudaError: Call to CUDA function failed.",
        "node1:12:99 [0] enqueue.cc:1190 NCCL WARN Cuda failure 'invalid argument'",
    ),
    "store-lost": (
        "The client socket has timed out after 600s while trying to connect to (node1, 29500).",
        "[rank1]: Failed to recv, got 0 bytes. Connection was likely closed. Did the remote server shutdown TCPStore?",
    ),
    "loader-shared-memory": (
        ("RuntimeError: DataLoader worker (pid 4242) is killed by signal: Bus error. It is possible that dataloader's workers "
        "are out of shared memory. Please try to raise your shared memory limit."),
        "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).",
    ),
    "loader-killed": (
        "RuntimeError: DataLoader worker (pid 4242) is killed by signal: Killed. ",
        "RuntimeError: DataLoader worker (pid(s) 4242, 4243) exited unexpectedly",
    ),
    "loader-timeout": ("RuntimeError: DataLoader timed out after 30 seconds",),
    "loader-code": ("KeyError: Caught KeyError in DataLoader worker process 0.",),
    "open-files": ("OSError: [Errno 24] Too many open files", "RuntimeError: received 0 items of ancdata"),
    "pin-thread": ("RuntimeError: Pin memory thread exited unexpectedly",),
    "disk-full": (
        "OSError: [Errno 28] No space left on device: 'models/last.pth'",
        "OSError: [Errno 122] Disk quota exceeded",
    ),
    "disk-read-only": ("OSError: [Errno 30] Read-only file system: 'logs/metrics.csv'",),
    "disk-fault": (
        "OSError: [Errno 5] Input/output error",
        "OSError: [Errno 116] Stale file handle",
        "OSError: [Errno 107] Transport endpoint is not connected: '/mnt/data'",
    ),
    "checkpoint-write": (
        "RuntimeError: [enforce fail at inline_container.cc:626] . unexpected pos 64 vs 0",
        "RuntimeError: PytorchStreamWriter failed writing file data/12: file write failed",
    ),
    "checkpoint-damaged": (
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
        "_pickle.UnpicklingError: invalid load key, '\\x00'.",
        "EOFError: Ran out of input",
        "RuntimeError: unexpected EOF, expected 3840 more bytes. The file might be corrupted.",
    ),
    "checkpoint-other": ("RuntimeError: Error(s) in loading state_dict for ATFT:",),
    "backward-nan": ("RuntimeError: Function 'LogBackward0' returned nan values in its 0th output.",),
    "loss-scale": ("Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 32768.0",),
    "launcher-stops": (
        "WARNING:torch.distributed.elastic.multiprocessing.api:Sending process 153929 closing signal SIGTERM",
        ("W0801 13:23:17.366000 32974 torch/distributed/elastic/multiprocessing/api.py:900] Sending process 33051 closing "
        "signal SIGTERM"),
    ),
    "launcher-failed": (
        f"{ERROR}failed (exitcode: -9) local_rank: 4 (pid: 364592) of binary: /opt/venv/bin/python",
        "  exitcode  : -11 (pid: 5277)",
    ),
    "launcher-child": (
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
        "Root Cause (first observed failure):",
    ),
    "launcher-signal": (
        "torch.distributed.elastic.multiprocessing.api.SignalException: Process 4242 got signal: 15",
        "  traceback : Signal 9 (SIGKILL) received by PID 364592",
    ),
    "launcher-meeting": ("torch.distributed.elastic.rendezvous.api.RendezvousTimeoutError",),
    "port-in-use": (
        "The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use).",
        ("torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. port: "
        "29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"),
    ),
    "python-packages": (
        "ModuleNotFoundError: No module named 'lightgbm'",
        "ImportError: libcudart.so.12: cannot open shared object file: No such file or directory",
    ),
    "python-crash": ("Fatal Python error: Segmentation fault", "Segmentation fault (core dumped)"),
    "native-crash": ("terminate called after throwing an instance of 'c10::Error'",),
    "python-leftovers": (
        "UserWarning: resource_tracker: There appear to be 6 leaked semaphore objects to clean up at shutdown",
        "Exception ignored in: <function _MultiProcessingDataLoaderIter.__del__ at 0x7f0>",
        ("[rank0]:[W1206 ProcessGroupNCCL.cpp:1250] Warning: process group has NOT been destroyed: "
        "destroy_process_group() was not called before program exits"),
        "FATAL: exception not rethrown",
    ),
    "interrupted": ("KeyboardInterrupt",),
    "sigkill": ("Killed", "train.sh: line 3:  4242 Killed                  python train.py", "command terminated with exit code 137"),
}  # fmt: skip
CASES = [(name, text) for name, texts in EXAMPLES.items() for text in texts]


def kind_of(text: str) -> ErrorPattern | None:
    number = MATCHER.kind(text)
    return MATCHER.patterns[number] if number is not None else None


def test_each_known_kind_has_an_example() -> None:
    assert EXAMPLES.keys() == {known.name for known in KNOWN} and not MATCHER.problems
    assert all(known.role for known in KNOWN)


@pytest.mark.parametrize(("name", "text"), CASES)
def test_a_message_is_of_its_kind(name: str, text: str) -> None:
    """Also without the quick search for texts, which must not lose one."""
    kind = kind_of(text)
    assert kind is not None and kind.name == name, (text, kind)
    assert MATCHER.narrow(text) and MATCHER.patterns[MATCHER.kind_here(text) or 0].name == name


@pytest.mark.parametrize(
    "text",
    [
        "step 100 loss 0.9931 grad norm 1.2 memory 250 MB",
        "0 errors, 0 failed",
        "using the allocator of CUDA, memory is out of the ordinary",
        "informational: 137 stocks, exit of the window at 137",
        "saved models/last.pth in 0.2 s",
    ],
)  # fmt: skip
def test_a_usual_line_is_of_no_kind(text: str) -> None:
    assert kind_of(text) is None


TORCHRUN = """\
2026-11-30 10:31:07 INFO step 100 loss 0.99
Traceback (most recent call last):
  File "/srv/train.py", line 12, in <module>
    loss = model(batch)
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
[rank1]:[E321 02:07:08.4 ProcessGroupNCCL.cpp:607] [Rank 1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1)
W0801 13:23:17.366000 32974 torch/distributed/elastic/multiprocessing/api.py:900] Sending process 33051 closing signal SIGTERM
E0801 13:23:20.000000 32974 torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: 1) local_rank: 0 (pid: 33054) of binary: python
Traceback (most recent call last):
  File "/opt/venv/bin/torchrun", line 10, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
"""


def test_the_first_cause_is_told_from_what_follows() -> None:
    tally, matcher = Tally(), Matcher(wanted(Logs()))
    survey = LogSurvey("logs/trainer.out", matcher, tally)
    survey.block(TORCHRUN, written=1_796_000_000.0)
    survey.end()
    roles = {kind.name: kind.role for kind in matcher.patterns}
    seen = [(message.kind, roles[message.kind]) for message in tally.messages.values()]
    assert seen == [
        ("cuda-memory", "root-cause"),
        ("nccl-timeout", "consequence"),
        ("launcher-stops", "teardown"),
        ("launcher-failed", "teardown"),  # with the traceback that follows it
    ]


def test_a_kind_of_the_runbook_comes_first_and_takes_the_place_of_a_known_one() -> None:
    own = ErrorPattern("cuda-memory", "OUT OF CARDS", "fatal", "root-cause", "oom")
    kinds = wanted(Logs(errors=(own,)))
    assert kinds[0] is own and [kind.name for kind in kinds].count("cuda-memory") == 1
