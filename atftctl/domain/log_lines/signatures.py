"""What CUDA, NCCL, allocators, the DataLoader, file systems, Python and torchrun write when something goes wrong, and
whether such a line is the root cause, a consequence, or the teardown that follows. A runbook can add kinds of its own,
and replace these by name, in `logs.errors`."""

from __future__ import annotations

from typing import NamedTuple

from atftctl.domain.log_lines.rules import DEFAULTS, ErrorPattern, Logs, Role, Severity

MEMORY, NUMBERS = "out-of-memory", "anomaly"  # the detectors of the symptoms that lines speak for


class Known(NamedTuple):
    """One kind. `texts`: in small letters; each line that the pattern matches has one of them."""

    name: str
    role: Role
    texts: tuple[str, ...]
    pattern: str
    symptom: str = ""
    severity: Severity = "fatal"


ROOT: Role = "root-cause"
AFTER: Role = "consequence"
END: Role = "teardown"

_ALLOCATORS = (
    Known("cuda-memory", ROOT, ("out of memory", "outofmemoryerror", "alloc_failed"),
          r"(?i)(?:cuda|hip)\b.{0,24}out of memory|torch\.(?:cuda\.)?OutOfMemoryError|\b\w{3,9}_STATUS_ALLOC_FAILED",
          MEMORY),
    Known("host-memory", ROOT, ("allocate", "memoryerror", "bad_alloc"),
          r"(?i)defaultcpuallocator: (?:can't|not enough)|\bcan(?:'|no)t allocate memory"
          r"|^\s{0,4}(?:\w+\.)*MemoryError\b"
          r"|std::bad_alloc|ArrayMemoryError|unable to allocate [\d.]+ [kmgt]i?b\b", MEMORY),
    Known("scheduler-memory", ROOT, ("oom_kill", "oom-kill", "oomkilled", "exceeded job memory"),
          r"(?i)detected \d+ oom[-_]kill event|oom-kill event\(s\)|\bOOMKilled\b|exceeded job memory limit", MEMORY),
    Known("kernel-memory", ROOT, ("killed process",), r"(?i)out of memory: killed process \d+", MEMORY),
)  # fmt: skip

_CUDA = (
    Known("cuda-assert", ROOT, ("device-side assert",), r"device-side assert triggered"),
    Known("cuda-address", ROOT, ("illegal memory", "misaligned address", "illegal instruction was"),
          r"illegal memory access was encountered|misaligned address|an illegal instruction was encountered"),
    Known("cuda-hardware", ROOT, ("ecc error", "fallen off the bus", "xid (", "hardware stack", "nvlink"),
          r"(?i)uncorrectable (?:ecc|nvlink) error|fallen off the bus|hardware stack error"
          r"|\bXid \([^)]{1,40}\): (?:48|63|64|74|79|92|94|95|119)\b"),
    Known("cuda-xid", AFTER, ("xid (",), r"(?i)\bXid \([^)]{1,40}\): \d+"),
    Known("cuda-launch", ROOT, ("launch failure", "launch timed out"),
          r"unspecified launch failure|the launch timed out and was terminated"),
    Known("cuda-device", ROOT, ("cuda-capable", "cuda driver", "kernel image", "cuda gpus", "nvidia driver",
                                "busy or unavailable"),
          r"(?i)no CUDA-capable device|CUDA driver version is insufficient|CUDA driver initialization failed"
          r"|no kernel image is available|No CUDA GPUs are available|Found no NVIDIA driver"
          r"|all CUDA-capable devices are busy or unavailable"),
    Known("cuda-library", AFTER, ("cublas_status", "cudnn_status", "cusolver_status", "cufft"),
          r"(?:CUBLAS|CUDNN|CUSOLVER)_STATUS_(?!SUCCESS)\w+|cuFFT error"),
)  # fmt: skip

_NCCL = (
    Known("nccl-abort", END, ("entire process down", "watchdog thread terminated", "process group watchdog",
                              "detected by watchdog"),
          r"taking the entire process down|[Ww]atchdog thread terminated with exception|process group watchdog thread"
          r"|\(either an error or timeout\) detected by watchdog"),
    Known("nccl-timeout", AFTER, ("collective operation timeout", "heartbeat monitor timed out"),
          r"[Ww]atchdog caught collective operation timeout|heartbeat monitor timed out"),
    Known("nccl-peer", AFTER, ("ncclremoteerror", "by remote peer", "connection closed by peer", "connection reset",
                               "broken pipe"),
          r"(?i)ncclRemoteError|connection closed by (?:remote )?peer|connection reset by peer|\bbroken pipe\b"),
    Known("nccl-usage", ROOT, ("duplicate gpu", "ncclinvalidusage"), r"Duplicate GPU detected|ncclInvalidUsage"),
    Known("nccl-system", ROOT, ("ncclsystemerror",), r"ncclSystemError"),
    Known("nccl-cuda", AFTER, ("ncclunhandledcudaerror", "nccl warn cuda failure", "unhandled cuda error"),
          r"(?i)ncclUnhandledCudaError|NCCL WARN Cuda failure|unhandled cuda error, NCCL version"),
    Known("store-lost", AFTER, ("client socket has", "tcpstore"),
          r"client socket has (?:timed out|failed to connect)|Failed to (?:recv|check).{0,80}TCPStore"),
)  # fmt: skip

_LOADER = (
    Known("loader-shared-memory", ROOT, ("shared memory", "bus error"),
          r"(?i)workers are out of shared memory|insufficient shared memory \(shm\)"
          r"|unable to open shared memory object"),
    Known("loader-killed", AFTER, ("dataloader worker",),
          r"DataLoader worker \(pid(?:\(s\))? [\d, ]{1,80}\) (?:is killed by signal|exited unexpectedly)"),
    Known("loader-timeout", ROOT, ("dataloader timed out",), r"DataLoader timed out after"),
    Known("loader-code", ROOT, ("in dataloader worker",), r"Caught \w+ in DataLoader worker process", "", "error"),
    Known("open-files", ROOT, ("too many open files", "ancdata"),
          r"(?i)too many open files|received 0 items of ancdata", "", "error"),
    Known("pin-thread", AFTER, ("pin memory thread",), r"Pin memory thread exited unexpectedly"),
)  # fmt: skip

_DISK = (
    Known("disk-full", ROOT, ("no space left", "quota exceeded"), r"(?i)no space left on device|disk quota exceeded",
          "", "error"),
    Known("disk-read-only", ROOT, ("read-only file system",), r"(?i)read-only file system", "", "error"),
    Known("disk-fault", ROOT, ("input/output error", "stale file handle", "stale nfs", "transport endpoint"),
          r"(?i)input/output error|stale (?:nfs )?file handle|transport endpoint is not connected", "", "error"),
    Known("checkpoint-write", AFTER, ("pytorchstreamwriter", "unexpected pos"),
          r"PytorchStreamWriter failed|unexpected pos \d+ vs \d+", "", "error"),
    Known("checkpoint-damaged", ROOT, ("pytorchstreamreader", "invalid load key", "ran out of input", "corrupted",
                                       "invalid header or archive"),
          r"PytorchStreamReader failed|invalid load key|EOFError: Ran out of input|The file might be corrupted"
          r"|[Ii]nvalid header or archive is corrupted", "", "error"),
    Known("checkpoint-other", ROOT, ("loading state_dict",), r"Error\(s\) in loading state_dict for", "", "error"),
)  # fmt: skip

_NUMBERS = (
    Known("backward-nan", ROOT, ("returned nan",), r"Function '\w+' returned nan values in its \d+th output", NUMBERS),
    Known("loss-scale", AFTER, ("gradient overflow", "minimum loss scale"),
          r"Gradient overflow\.\s+Skipping step|Minimum loss scale reached", NUMBERS, "warning"),
)  # fmt: skip

_TORCHRUN = (
    Known("launcher-stops", END, ("closing signal",), r"Sending process \d+ closing signal SIG\w+", "", "warning"),
    Known("launcher-failed", END, ("exitcode",),
          r"failed \(exitcode: -?\d+\) local_rank|^\s*exitcode\s*: -?\d+ \(pid"),
    Known("launcher-child", END, ("childfailederror", "first observed failure"),
          r"ChildFailedError|Root Cause \(first observed failure\)"),
    Known("launcher-signal", END, ("got signal", "received by pid"),
          r"SignalException: Process \d+ got signal|Signal \d+ \(SIG\w+\) received by PID"),
    Known("launcher-meeting", ROOT, ("rendezvous",), r"Rendezvous(?:Timeout|Connection|Closed|State)Error"),
    Known("port-in-use", ROOT, ("address already in use", "eaddrinuse"), r"(?i)address already in use|EADDRINUSE"),
)  # fmt: skip

_PYTHON = (
    Known("python-packages", ROOT, ("modulenotfounderror", "importerror", "shared object file"),
          r"^\s{0,4}(?:ModuleNotFoundError|ImportError): |cannot open shared object file", "", "error"),
    Known("python-crash", ROOT, ("fatal python error", "segmentation fault", "sigsegv"),
          r"Fatal Python error: |[Ss]egmentation fault|\bSIGSEGV\b"),
    Known("native-crash", AFTER, ("terminate called after",), r"terminate called after throwing an instance of"),
    Known("python-leftovers", END, ("leaked semaphore", "leaked shared_memory", "exception ignored in",
                                    "destroy_process_group", "exception not rethrown", "without an active exception"),
          r"leaked (?:semaphore|shared_memory) objects|^Exception ignored in|destroy_process_group\(\) was not called"
          r"|exception not rethrown|terminate called without an active exception", "", "warning"),
    Known("interrupted", END, ("keyboardinterrupt",), r"^\s{0,4}KeyboardInterrupt\b", "", "error"),
    Known("sigkill", AFTER, ("killed", "sigkill", "exit code", "exited with code"),
          r"^\s*(?:\S+: line \d+: +\d+ )?Killed\b|\bSIGKILL\b|exit(?:ed with)? code 137\b"),
)  # fmt: skip

# Of several that match a line the first one counts: teardown comes before what its lines quote.
KNOWN = (*_ALLOCATORS, *_LOADER, *_DISK, *_TORCHRUN, *_NCCL, *_CUDA, *_NUMBERS, *_PYTHON)
SIGNATURES = tuple(ErrorPattern(kind.name, kind.pattern, kind.severity, kind.role, kind.symptom) for kind in KNOWN)
TEXTS = {kind.name: kind.texts for kind in KNOWN}


def wanted(rules: Logs) -> tuple[ErrorPattern, ...]:
    """What `diagnose` looks for: the runbook's own kinds first, then those that atftctl knows. A kind of the runbook
    takes the place of a known one of the same name."""
    own = {kind.name for kind in rules.errors}
    return (*rules.errors, *(kind for kind in (*SIGNATURES, *DEFAULTS) if kind.name not in own))
