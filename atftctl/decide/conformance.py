"""The verdicts of `trainer check`, from what its runs showed. What was not told is inconclusive, never a pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from atftctl import protocol
from atftctl.domain.conformance import Ended, Facts, RunSeen
from atftctl.domain.verdict import Check, Verdict
from atftctl.protocol import TrainerExit
from atftctl.protocol.messages import Message, joined, tr, trn

TOLERANCE = 1e-4  # of a loss, relative: what another order of additions may change
NOISE_MAX = 0.01  # between two runs from scratch: with more, nothing can be said about a resume
NOISE_TIMES = 3.0
LEAST_STEPS = 3  # after a resume
TITLES: Mapping[str, Message] = {
    "began": tr("says that training began"),
    "settings": tr("echoes its settings"),
    "metrics": tr("metrics"),
    "heartbeat": tr("heartbeat"),
    "stop": tr("saves when asked to stop"),
    "exit-code": tr("exit code"),
    "lost": tr("steps lost by a stop"),
    "resume": tr("resumes exactly"),
    "kill": tr("survives SIGKILL while saving"),
    "evaluation": tr("stops in an evaluation"),
    "saving": tr("stops while saving"),
    "reload": tr("sees a reload"),
    "fence": tr("leaves for a newer trainer"),
}
SAVE_FIRST = tr("on SIGTERM: finish the step, save, write the event stopped, exit with code 10")
NOT_RUN = tr("not tried: the trainer did not run so far")


def judge(facts: Facts) -> tuple[Check, ...]:
    """All lines, in the order of TITLES."""
    lines: dict[str, Callable[[Facts], Check]] = {
        "began": _began, "settings": _settings, "metrics": _metrics, "heartbeat": _heartbeat, "stop": _stop,
        "exit-code": _exit_code, "lost": _lost, "resume": _resume, "kill": _kill,
        "evaluation": lambda facts: _in_section("evaluation", facts.in_evaluation),
        "saving": lambda facts: _in_section("saving", facts.in_saving), "reload": _reload, "fence": _fence,
    }  # fmt: skip
    return tuple(lines[name](facts) for name in TITLES)


def _pass(name: str, detail: str) -> Check:
    return Check(name, Verdict.PASS, detail)


def _fail(name: str, detail: str, hint: str = "") -> Check:
    return Check(name, Verdict.FAIL, detail, hint=hint)


def _unknown(name: str, detail: str, hint: str = "") -> Check:
    return Check(name, Verdict.INCONCLUSIVE, detail, hint=hint)


def _began(facts: Facts) -> Check:
    run = facts.whole
    if run.began == "event":
        return _pass("began", tr("event first_step, step {step}", step=run.first_step.get("step")))
    if not run.alive:
        return _fail("began", tr("the trainer ended; its last output: {line}", line=run.output or tr("none")))
    seen = (
        tr("the trainer writes metrics, but no event first_step")
        if run.began
        else tr("the trainer is running, and says nothing")
    )
    return _unknown("began", seen, tr("write the event first_step, or run the trainer by atftctl guard --pattern"))


def _settings(facts: Facts) -> Check:
    run = facts.whole
    if run.began != "event":
        return _unknown("settings", tr("not told"), tr("write digest into the events started and first_step"))
    if run.first_step.get("digest") != facts.digest:
        text = tr("the digest in first_step is {digest}, that of the files {wanted}",
                  digest=str(run.first_step.get("digest", tr("missing")))[:12], wanted=facts.digest[:12])  # fmt: skip
        return _fail("settings", text, tr("compute the digest from all config files of the runbook, in their order"))
    if not run.effective:
        return _unknown("settings", tr("the digest agrees; effective is not told"),
                        tr("write effective into started, so that a setting without effect is seen"))  # fmt: skip
    return _pass("settings", tr("digest {digest}, and effective", digest=facts.digest[:12]))


def _metrics(facts: Facts) -> Check:
    have, wanted = facts.whole.columns, {role: name for role, name in facts.columns.items() if name}
    hint = tr("write logs/metrics.csv with step and the columns that the runbook names under metrics")
    if not have:
        return _unknown("metrics", tr("no rows of metrics"), hint)
    if missing := [f"{name} ({role})" for role, name in wanted.items() if name not in have]:
        return _fail("metrics", tr("columns are missing: {names}", names=", ".join(missing)), hint)
    return _pass("metrics", tr("columns {names}", names=", ".join(wanted.values()) or ", ".join(have)))


def _heartbeat(facts: Facts) -> Check:
    beat = facts.whole.beat
    if not beat:
        return _unknown("heartbeat", tr("no heartbeat of this run"), tr("write logs/heartbeat.json at each step"))
    return _pass("heartbeat", tr("section {section}, at most {limit_s:g} s", section=beat.get("section"),
                                 limit_s=float(beat.get("limit_s", 0))))  # fmt: skip


def _ended(run: RunSeen | None) -> Ended | None:
    return run.ended if run else None


def _stop(facts: Facts) -> Check:
    ended = _ended(facts.stopped)
    if ended is None:
        return _unknown("stop", NOT_RUN)
    if ended.code is None:
        return _fail(
            "stop", tr("the trainer had to be killed after {seconds:.0f} s", seconds=ended.seconds), SAVE_FIRST
        )
    if not ended.saved:
        return _fail("stop", tr("no checkpoint changed after SIGTERM"), SAVE_FIRST)
    return _pass("stop", tr("{files} saved, {seconds:.1f} s after SIGTERM", files=_listed(ended.saved),
                            seconds=ended.seconds))  # fmt: skip


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - 2
    return ", ".join(names[:2]) + (f" +{more}" if more > 0 else "")


def _exit_code(facts: Facts) -> Check:
    ended = _ended(facts.stopped)
    if ended is None or ended.code is None:
        return _unknown("exit-code", NOT_RUN if ended is None else tr("the trainer had to be killed"))
    text = tr("exit code {code}; a trainer that was asked to stop has 10", code=ended.code)
    if ended.code == int(TrainerExit.STOPPED):
        return _pass("exit-code", tr("exit code {code}", code=10))
    return _unknown("exit-code", text, SAVE_FIRST) if ended.code in (0, -15) else _fail("exit-code", text, SAVE_FIRST)


def _trained(run: RunSeen) -> int | None:
    """The last step that was trained before a run ended."""
    steps = [step for step in (run.last_step, run.ended.step if run.ended else None) if step is not None]
    return max(steps, default=None)


def _lost(facts: Facts) -> Check:
    if facts.stopped is None or facts.resumed is None:
        return _unknown("lost", NOT_RUN)
    trained, begins = _trained(facts.stopped), facts.resumed.from_step
    if trained is None or begins is None:
        return _unknown("lost", tr("not told: the steps before the stop, or after it, are not known"),
                        tr("write the step into events and metrics"))  # fmt: skip
    lost = max(0, trained - begins + 1)
    detail = trn("{count} step: stopped after step {trained}, continued with step {begins}",
                 "{count} steps: stopped after step {trained}, continued with step {begins}", lost,
                 trained=trained, begins=begins)  # fmt: skip
    return _fail("lost", detail, SAVE_FIRST) if lost > 1 else _pass("lost", detail)


def _resume(facts: Facts) -> Check:
    if facts.stopped is None or facts.resumed is None:
        return _unknown("resume", NOT_RUN)
    resumed, begins = facts.resumed, facts.resumed.from_step
    if not resumed.alive and not resumed.began:
        return _fail(
            "resume", tr("the trainer did not run again; its last output: {line}", line=resumed.output or tr("none"))
        )
    if begins is not None and begins <= 1 < (_trained(facts.stopped) or 0):
        return _fail("resume", tr("training began anew, with step {step}", step=begins),
                     tr("load the checkpoint that {name} names", name="{resume}"))  # fmt: skip
    whole = facts.whole.losses
    noise = _difference(whole, facts.stopped.losses)
    after = {step: loss for step, loss in resumed.losses.items() if step in whole}
    if len(after) < LEAST_STEPS or noise is None:
        return _unknown("resume", tr("not told: too few steps have a loss in both runs"),
                        tr("write the loss of each step into the metrics, or use more --steps"))  # fmt: skip
    if noise > NOISE_MAX:
        return _unknown("resume", tr("two runs from scratch differ by {noise:.2g}, so that nothing can be compared",
                                     noise=noise), tr("seed all random numbers"))  # fmt: skip
    return _compared(_difference(whole, after) or 0.0, noise, after)


def _compared(difference: float, noise: float, after: Mapping[int, float]) -> Check:
    text = tr("losses of steps {first} to {last} differ by {difference:.2g} from a run without a stop",
              first=min(after), last=max(after), difference=difference)  # fmt: skip
    if difference <= max(TOLERANCE, NOISE_TIMES * noise):
        return _pass("resume", text)
    hint = tr("save and load the optimizer, the schedule, the random numbers and the place in the data, too")
    return _fail("resume", text, hint)


def _difference(one: Mapping[int, float], other: Mapping[int, float]) -> float | None:
    """The largest relative difference at the same step; None where no step is in both."""
    common = [step for step in other if step in one]
    return max((abs(one[step] - other[step]) / max(abs(one[step]), 1e-12) for step in common), default=None)


def _kill(facts: Facts) -> Check:
    run = facts.after_kill
    if run is None or not facts.kill or facts.resumed is None:
        return _unknown("kill", NOT_RUN)
    hint = tr("write each checkpoint to another file first, fsync it, and rename it; keep the one before")
    if not run.alive and not run.began:
        return _fail(
            "kill", tr("the trainer did not run again; its last output: {line}", line=run.output or tr("none")), hint
        )
    before, begins = facts.resumed.from_step, run.from_step
    if before is None or begins is None:
        return _unknown("kill", tr("the trainer runs again; from which step is not told"))
    if begins < before:
        text = tr("the trainer continued with step {step}; step {known} had been saved before", step=begins,
                  known=before - 1)  # fmt: skip
        return _fail("kill", text, hint)
    if facts.kill == "after":
        return _unknown(
            "kill", tr("the trainer had saved before it could be killed; continued with step {step}", step=begins)
        )
    return _pass("kill", tr("killed while its files changed; continued with step {step}", step=begins))


def _in_section(name: str, ended: Ended | None) -> Check:
    if ended is None:
        return _unknown(name, tr("not told: no heartbeat named such a section"),
                        tr("name the sections evaluate and save in logs/heartbeat.json"))  # fmt: skip
    if ended.code is None:
        return _fail(name, tr("the trainer had to be killed after {seconds:.0f} s", seconds=ended.seconds), SAVE_FIRST)
    saved = _listed(ended.saved) or tr("nothing")
    detail = tr("{files} saved, exit code {code}, after {seconds:.1f} s", files=saved, code=ended.code,
                seconds=ended.seconds)  # fmt: skip
    if ended.code == int(TrainerExit.STOPPED) and ended.saved:
        return _pass(name, detail)
    return _fail(name, detail, SAVE_FIRST)


def _reload(facts: Facts) -> Check:
    answer = facts.reload
    hint = tr("answer a request in logs/request.json by reloaded or reload_refused; without it, changes need a restart")
    if answer is None or not answer:
        return _unknown("reload", NOT_RUN if answer is None else tr("no answer"), hint if answer is not None else "")
    if answer.get("event") == protocol.RELOAD_REFUSED:
        return _unknown("reload", tr("the trainer answers, and refuses: {reason}", reason=answer.get("message", "")))
    if answer.get("digest") != facts.digest:
        return _fail("reload", tr("the trainer answers with another digest than that of the files"), hint)
    return _pass("reload", tr("event reloaded, with the digest of the files"))


def _fence(facts: Facts) -> Check:
    ended = facts.fenced
    if ended is None:
        return _unknown("fence", NOT_RUN)
    hint = tr(
        "compare ATFTCTL_GENERATION with .atftctl/generation at each step: where that is higher, exit with code 17"
    )
    if ended.code is None:
        text = tr("the trainer went on for {seconds:.0f} s, and was killed", seconds=ended.seconds)
        return _fail("fence", text, hint) if facts.whole.events else _unknown("fence", text, hint)
    detail = joined("; ", [tr("exit code {code}", code=ended.code), *_saved_late(ended)])
    if ended.code == int(TrainerExit.FENCED) and not ended.saved:
        return _pass("fence", detail)
    return _fail("fence", detail, hint)


def _saved_late(ended: Ended) -> list[str]:
    return [tr("saved after that: {files}", files=_listed(ended.saved))] if ended.saved else []
