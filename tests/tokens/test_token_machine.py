"""The token cache as a state machine: whatever comes in whatever order, each sentence of "Token cache, exactly" holds.

Callers, cancellations, deadlines, jumps of the clock, tokens of any life, failures, 401s, cancelled requests and new
event loops come in any order, and between two of them the event loop takes any number of turns, none included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.token_model import FAILURES, Bug, Call, Clinic, Clock, Kept, Request, SteppedLoop

from arzamed_async import ArzamedError, ClinicCredentials, CredentialsRejectedError, TokenError, TokenPolicy

#: Jumps of the clock.
SECONDS = st.sampled_from([0.001, 0.5, 0.999, 1.0, 1.001, 4.0, 10.0, 29.0, 31.0, 61.0, 301.0, 86_400.0])
#: Jumps of the wall clock alone: a suspend, or a clock that is set, also back.
JUMPS = st.sampled_from([1.03, 31.7, 301.9, 3601.3, 86_400.7, -31.1, -3601.9, -86_400.1])
#: Lives of tokens, in seconds.
LIVES = [3600.0, 3600.0, 3600.0, 3600.0, 0.5, 4.0, 40.0, 600.0, 86_400.0]
POLICIES = st.builds(
    TokenPolicy,
    refresh_ahead_seconds=st.sampled_from([300.0, 300.0, 0.0, 20.0]),
    jitter_seconds=st.sampled_from([0.0, 60.0]),
    margin_seconds=st.sampled_from([30.0, 30.0, 0.0, 400.0]),
    refresh_retry_seconds=st.sampled_from([30.0, 30.0, 0.0, 5.0]),
    rejected_seconds=st.sampled_from([60.0, 60.0, 0.0, 5.0]),
)
#: How many turns the event loop takes before the next event: None, until it rests.
TURNS = st.sampled_from([None, None, None, 0, 1, 2, 3])
INDEX = st.integers(0, 20)
#: Until when time passes before callers come: to an edge of what the clinic has, if there is one ahead.
EDGES = st.sampled_from(["now", "now", "refresh", "refresh", "margin", "expiry", "failure", "quiet", "keep"])


FACTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "callers_come": {
        "which": st.sampled_from([0, 0, 0, 1]),
        "until": EDGES,
        "beside": st.sampled_from([0.0, 0.0, -0.001, 0.001]),
        "count": st.sampled_from([1, 1, 1, 2, 5]),
        "deadline": st.none() | SECONDS,
    },
    "a_request_ends": {
        "index": INDEX,
        "verdict": st.sampled_from([*LIVES, *FAILURES, *FAILURES, "cancelled"]) | st.floats(0.001, 86_400.0),
    },
    "a_401_comes": {"index": INDEX, "current": st.booleans()},
    "a_success_comes": {"index": INDEX},
    "the_wall_clock_jumps": {"seconds": JUMPS},
    "a_caller_is_cancelled": {"index": INDEX},
    "time_passes": {"seconds": SECONDS},
    "a_new_loop_starts": {"finished": st.booleans()},
    "an_old_loop_takes_a_turn": {"index": INDEX},
}
OFTEN = ["callers_come", "callers_come", "callers_come", "a_request_ends", "a_request_ends", "a_request_ends"]
EVENTS = st.sampled_from([*OFTEN, *OFTEN, *FACTS]).flatmap(
    lambda name: st.tuples(st.just(name), st.fixed_dictionaries(FACTS[name]))
)


def is_failure_of(error: BaseException | None, request: Request) -> bool:
    """Whether this is the failure of that request."""
    outcome = request.outcome
    if not isinstance(outcome, Exception) or type(error) is not type(outcome):
        return False
    if isinstance(outcome, TokenError) and outcome.args[0] == "expired on its way":
        return "expired before it arrived" in str(error)
    return getattr(error, "description", None) == getattr(outcome, "description", None)


class TokenMachine(RuleBasedStateMachine):
    """Two clinics, each with its cache, on one event loop after another."""

    @initialize(
        policy=POLICIES, until=st.sampled_from(["refresh", "refresh", "cold", "margin", "now"]), left=st.booleans()
    )
    def begin(self, policy: TokenPolicy, until: str, left: bool) -> None:
        self.policy = policy
        self.clock = Clock()
        self.loops = [SteppedLoop(self.clock)]
        self.clinics = [
            Clinic(policy, self.clock, ClinicCredentials(f"id-{n}", "invented", "https://auth.invented.example/token"))
            for n in range(2)
        ]
        if until != "cold":  # many a run begins where it gets interesting
            for which, clinic in enumerate(self.clinics):
                self.callers_come(which, "now", 0.0, 1, None)
                self.go_on(None)
                clinic.requests[0].end(3600.0)
            self.go_on(None)
            self.callers_come(0, until, 0.0, 1, None)
            self.go_on(None)
        if left:
            self.a_new_loop_starts(finished=False)

    # One rule: with one for each event Hypothesis leaves half of them out of a run, and few runs get to a refresh.

    @rule(event=EVENTS, turns=TURNS)
    def step(self, event: tuple[str, dict[str, Any]], turns: int | None) -> None:
        for clinic in self.clinics:
            clinic.calls = [call for call in clinic.calls if not call.done]  # the others have been judged
        name, facts = event
        getattr(self, name)(**facts)
        self.go_on(turns)

    # What may happen.

    def callers_come(self, which: int, until: str, beside: float, count: int, deadline: float | None) -> None:
        clinic, loop = self.clinics[which], self.loops[-1]
        self.clock.now = max(self.clock.now, self.edges(clinic).get(until, 0.0) + beside)
        for _ in range(count):
            call = Call(clinic, loop, None if deadline is None else self.clock.now + deadline)
            clinic.calls.append(call)
            call.task = loop.create_task(clinic.call(call))
            loop.deadlines += deadline is not None

    def edges(self, clinic: Clinic) -> dict[str, float]:
        edges = {"failure": clinic.failure_until, "quiet": clinic.quiet_until, "keep": clinic.keep_until}
        if (kept := clinic.kept) is not None:
            edges["refresh"] = kept.refresh_at(self.policy, 0.0)
            edges["margin"] = kept.wait_at(self.policy)
            edges["expiry"] = kept.expires_at
        return edges

    def a_caller_is_cancelled(self, index: int) -> None:
        waiting = [call for call in self.calls() if not call.done and call.loop is self.loops[-1]]
        if waiting:
            waiting[index % len(waiting)].cancel()

    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    def a_request_ends(self, index: int, verdict: float | str) -> None:
        cancelled = verdict == "cancelled"
        requests = [each for each in self.requests() if (each.live if cancelled else each.out)]
        if requests:
            requests[-1 - index % len(requests)].end(FAILURES.get(verdict, verdict))

    def a_401_comes(self, index: int, current: bool) -> None:
        for clinic in self.clinics:
            handed = clinic.handed
            if current:
                handed = [held for held in handed if clinic.kept is not None and clinic.kept.held is held]
            if handed:
                clinic.reject(handed[-1 - index % len(handed)])

    def a_success_comes(self, index: int) -> None:
        for clinic in self.clinics:
            if clinic.handed:
                clinic.accept(clinic.handed[-1 - index % len(clinic.handed)])

    def the_wall_clock_jumps(self, seconds: float) -> None:
        self.clock.wall_ahead += seconds

    def a_new_loop_starts(self, finished: bool) -> None:
        loop = self.loops[-1]
        if finished:
            self.finish(loop)
        else:  # its callers go, its requests stay half-way
            for call in self.calls():
                if call.loop is loop:
                    call.cancel()
            self.go_on(None)
        self.loops.append(SteppedLoop(self.clock))

    def an_old_loop_takes_a_turn(self, index: int) -> None:
        self.turn(self.loops[index % len(self.loops)])

    # How it goes on.

    def calls(self) -> Iterator[Call]:
        return (call for clinic in self.clinics for call in clinic.calls)

    def requests(self) -> Iterator[Request]:
        return (request for clinic in self.clinics for request in clinic.requests)

    def turn(self, loop: SteppedLoop) -> None:
        loop.turn()
        for clinic in self.clinics:
            clinic.note_waiters()

    def go_on(self, turns: int | None) -> None:
        loop = self.loops[-1]
        for _ in range(50 if turns is None else turns):
            self.turn(loop)
            if turns is None and loop.resting:
                return
        assert turns is not None, "it never rests"

    def finish(self, loop: SteppedLoop) -> None:
        """End a loop as asyncio.run does."""
        for call in self.calls():
            if call.loop is loop:
                call.cancel()
        for request in self.requests():
            request.cancelled = request.cancelled or (request.loop is loop and request.live)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        for _ in range(50):
            self.turn(loop)
        assert not asyncio.all_tasks(loop), "a task is left"

    def teardown(self) -> None:
        if not hasattr(self, "loops"):
            return
        try:
            for _ in range(3):  # a token may have expired on its way to somebody
                for request in self.requests():
                    if request.out:
                        request.end(3600.0)
                self.go_on(None)
            last = self.loops[-1]
            assert all(call.done for call in self.calls() if call.loop is last), "somebody waits forever"
            assert not asyncio.all_tasks(last), "a task is left"
            for loop in self.loops[:-1]:
                self.finish(loop)
            for clinic in self.clinics:
                assert not clinic.cache._source.flights._flights or not clinic.live(last)
            self.each_complaint_is_of_a_bug()
        finally:
            for loop in self.loops:
                loop.close()

    def each_complaint_is_of_a_bug(self) -> None:
        for loop in self.loops:
            assert all(isinstance(each.get("exception"), Bug) for each in loop.complaints), loop.complaints

    def ended(self) -> Iterator[Call]:
        """Calls that have ended, and that neither their caller nor their deadline has ended."""
        for call in self.calls():
            cancelled = call.cancelled_at is not None and isinstance(call.error, asyncio.CancelledError)
            late = call.deadline is not None and isinstance(call.error, TimeoutError)
            if call.ended_at is not None and not cancelled and not late:
                yield call

    # What always holds: the sentences of DESIGN.md, "Token cache, exactly".

    @invariant()
    def any_number_of_callers_cause_one_request(self) -> None:
        for request in self.requests():
            assert request.others == 0

    @invariant()
    def all_who_wait_share_its_outcome(self) -> None:
        for call in self.ended():
            request = call.request
            if request is None or request.ended_at is None or call.ended_at is None:
                continue
            outcome = request.outcome
            if isinstance(outcome, Kept):
                if outcome.moment(call.ended_at, call.ended_ahead) < outcome.expires_at:
                    assert call.token is not None
                    assert call.token.issued.access_token == f"token-{request.number}"
            else:
                assert is_failure_of(call.error, request)

    @invariant()
    def each_gets_an_instance_of_its_own(self) -> None:
        for clinic in self.clinics:
            outcomes = [each.outcome for each in clinic.requests if isinstance(each.outcome, ArzamedError)]
            errors = [*outcomes, *clinic.errors]
            assert len({id(error) for error in errors}) == len(errors)
            assert all(error.__cause__ is None and error.__context__ is None for error in errors)

    @invariant()
    def a_failure_is_shared_for_one_second_more(self) -> None:
        for request in self.requests():
            assert request.failed is None  # none starts meanwhile
        for call in self.ended():
            if call.expected == "failure":
                assert call.failure is not None
                assert is_failure_of(call.error, call.failure)
                assert call.ended_at == call.came_at
                assert call.request is None

    @invariant()
    def refused_credentials_are_remembered_for_rejected_seconds(self) -> None:
        for clinic in self.clinics:
            rejected = [each for each in clinic.requests if isinstance(each.outcome, CredentialsRejectedError)]
            for earlier in rejected:
                if not earlier.abandoned or earlier is clinic.failure:
                    again = [each for each in clinic.requests if each.number > earlier.number]
                    assert earlier.ended_at is not None
                    assert all(each.started_at >= earlier.ended_at + self.policy.rejected_seconds for each in again)

    @invariant()
    def a_caller_that_is_cancelled_disturbs_no_other(self) -> None:
        for call in self.ended():
            if isinstance(call.error, asyncio.CancelledError):
                assert any(each.cancelled and each.loop is call.loop for each in call.clinic.requests)
        for request in self.requests():
            assert request.task is not None
            if request.task.done() and request.task.cancelled():
                assert request.cancelled

    @invariant()
    def a_deadline_ends_its_waiter(self) -> None:
        loop = self.loops[-1]
        for call in self.calls():
            if call.loop is loop and loop.resting and call.deadline is not None and call.deadline <= self.clock.now:
                assert call.done

    @invariant()
    def a_token_is_kept_whoever_waits_for_it(self) -> None:
        for call in self.ended():
            if call.expected == "token":
                assert call.kept is not None
                assert call.immediate is not None, "it had to wait"
                assert call.immediate.issued.access_token == f"token-{call.kept.request.number}"
                assert call.token is call.immediate
                assert call.ended_at == call.came_at

    @invariant()
    def a_refresh_starts_in_time_and_only_then(self) -> None:
        for request in self.requests():
            kept = request.kept
            if kept is None:
                continue
            moment = kept.moment(request.started_at, request.started_ahead)
            if moment < kept.wait_at(self.policy):
                assert moment >= kept.refresh_at(self.policy, self.policy.jitter_seconds)
                assert request.started_at >= request.quiet_until, "refresh_retry_seconds have not passed"
        for call in self.calls():
            if call.must_refresh and call.requests_after is not None:
                assert call.requests_after == call.requests_before + 1

    @invariant()
    def it_is_driven_by_calls_and_has_no_timers(self) -> None:
        for request in self.requests():
            assert request.caller is not None
        for loop in self.loops:
            assert loop.timers <= loop.deadlines

    @invariant()
    def within_the_margin_callers_wait_for_the_new_token(self) -> None:
        for call in self.calls():
            if call.expected in ("wait", "failure") and call.came_at is not None:
                assert call.immediate is None
                if call.token is not None:
                    kept = call.clinic.kept_of(call.token)
                    assert kept.request.ended_at is not None
                    assert kept.request.ended_at >= call.came_at

    @invariant()
    def an_expired_token_is_never_sent(self) -> None:
        for call in self.calls():
            if call.token is not None and call.ended_at is not None:
                kept = call.clinic.kept_of(call.token)
                assert kept.moment(call.ended_at, call.ended_ahead) < kept.expires_at

    @invariant()
    def a_short_life_shrinks_both_windows(self) -> None:
        for call in self.calls():
            kept = call.kept
            if kept is None or call.came_at is None:
                continue
            if kept.moment(call.came_at, call.came_ahead) < kept.expires_at - kept.life / 4:
                assert call.immediate is not None
        for request in self.requests():
            if (kept := request.kept) is not None:
                moment = kept.moment(request.started_at, request.started_ahead)
                assert moment >= min(kept.expires_at - kept.life / 2, kept.wait_at(self.policy))

    @invariant()
    def age_counts_from_before_the_request_was_sent(self) -> None:
        for clinic in self.clinics:
            for held in clinic.handed:
                kept = clinic.kept_of(held)
                assert held.expires_at == kept.expires_at
                assert held.wait_at == kept.wait_at(self.policy)

    @invariant()
    def a_401_replaces_the_current_token_only(self) -> None:
        for clinic in self.clinics:
            for what, expected, told in clinic.verdicts_401:
                assert expected in (told, None), what

    @invariant()
    def at_most_two_are_replaced_within_rejected_seconds(self) -> None:
        for clinic in self.clinics:
            for first, third in zip(clinic.replaced_at, clinic.replaced_at[2:], strict=False):
                assert third >= first + self.policy.rejected_seconds

    @invariant()
    def clinics_never_wait_for_each_other(self) -> None:
        for call in self.calls():
            if call.expected == "wait":
                assert call.request is not None
                assert call.request.clinic is call.clinic
                assert call.request.started_at <= (call.came_at or 0.0)

    @invariant()
    def what_belongs_to_a_loop_left_behind_is_abandoned(self) -> None:
        for call in self.calls():
            if call.request is not None:
                assert call.request.loop is call.loop

    @invariant()
    def nobody_waits_forever(self) -> None:
        loop = self.loops[-1]
        for call in self.calls():
            if loop.resting and call.loop is loop and not call.done:
                assert call.clinic.live(loop) is not None


TokenMachine.TestCase.settings = settings(
    max_examples=settings().max_examples * 6 // 10, stateful_step_count=50, report_multiple_bugs=False
)
TestTokenMachine = TokenMachine.TestCase
