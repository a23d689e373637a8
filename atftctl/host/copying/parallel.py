"""Large files two at a time: their hash takes one core, and their bytes the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from atftctl.host.copying.copier import LARGE, given_up_with

T = TypeVar("T")
AT_ONCE = 2


def run_jobs(jobs: Iterable[tuple[int, Callable[[], T]]]) -> list[T]:
    """What each job returns, in their order. Each comes with the number of bytes that it copies. Small ones run one
    after the other, so that what happens to them has one order. Raises what the first failing job raises; the others
    are given up then, and by the time it is raised none runs any more."""
    jobs = list(jobs)
    large = [at for at, (size, _) in enumerate(jobs) if size >= LARGE]
    if len(large) < AT_ONCE:
        return [act() for _, act in jobs]
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    stop = threading.Event()

    def run(act: Callable[[], T]) -> T:
        with given_up_with(stop):
            return act()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = {at: pool.submit(run, jobs[at][1]) for at in large}
        try:
            done = {at: act() for at, (_, act) in enumerate(jobs) if at not in running}
            for future in wait(running.values(), return_when=FIRST_EXCEPTION).done:
                future.result()
            done |= {at: future.result() for at, future in running.items()}
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [done[at] for at in range(len(jobs))]
