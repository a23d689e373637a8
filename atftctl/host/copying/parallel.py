"""Copy two large files at a time: hashing keeps a core busy while the disk writes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from atftctl.host.copying.copier import LARGE, given_up_with

T = TypeVar("T")
AT_ONCE = 2


def run_jobs(jobs: Iterable[tuple[int, Callable[[], T]]]) -> list[T]:
    """Run jobs, each given with the number of bytes that it copies; return their results in order. Large jobs run two
    at a time; small ones run one after the other, in order. Raises the error of the first job that fails; the other
    jobs are given up, and none is running any more when the error is raised."""
    jobs = list(jobs)
    large = [index for index, (size, _) in enumerate(jobs) if size >= LARGE]
    if len(large) < AT_ONCE:
        return [act() for _, act in jobs]
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    stop = threading.Event()

    def run(act: Callable[[], T]) -> T:
        with given_up_with(stop):
            return act()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {index: pool.submit(run, jobs[index][1]) for index in large}
        try:
            done = {index: act() for index, (_, act) in enumerate(jobs) if index not in running}
            for future in wait(running.values(), return_when=FIRST_EXCEPTION).done:
                future.result()
            done |= {index: future.result() for index, future in running.items()}
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [done[index] for index in range(len(jobs))]
