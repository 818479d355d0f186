"""When to connect again: a lone client, one whose message ends connections, and two with one id."""

import random

from shared.backoff import STEADY_S, Backoff


def drawn_at_most() -> float:
    return 1.0


def test_waits_grow_though_each_attempt_comes_up_until_the_owner_states_that_it_works() -> None:
    backoff = Backoff(60.0, owner_settles=True, draw=drawn_at_most)
    assert [backoff.wait_s(1_000.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 32, 60]
    backoff.settled()
    assert backoff.wait_s(STEADY_S) == 0.5


def test_what_works_for_a_moment_does_not_end_the_growth() -> None:
    backoff = Backoff(60.0, owner_settles=True, draw=drawn_at_most)
    waits = []
    for _ in range(4):
        backoff.settled()
        waits.append(backoff.wait_s(0.5))
    assert waits == [0.5, 1, 2, 4]


def test_an_owner_that_does_not_confirm_is_served_by_time() -> None:
    backoff = Backoff(60.0, draw=drawn_at_most)
    assert [backoff.wait_s(0.1) for _ in range(4)] == [0.5, 1, 2, 4]
    assert backoff.wait_s(STEADY_S) == 0.5


def test_after_a_takeover_the_wait_has_a_lower_bound_that_grows() -> None:
    backoff = Backoff(60.0, owner_settles=True, draw=lambda: 0.0)
    waits = []
    for _ in range(8):
        backoff.settled()
        waits.append(backoff.wait_s(30.0, taken_over=True))
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_two_clients_with_one_id_take_over_less_and_less_often() -> None:
    """Simulated: each ends the other's connection as it comes up; events are acknowledged on every connection."""
    clients = [Backoff(60.0, owner_settles=True, draw=random.Random(seed).random) for seed in (1, 2)]
    now_s, up, up_since_s, due_s, takeovers = 0.0, 0, 0.0, 0.1, list[float]()
    while now_s < 3_600.0:
        now_s = due_s
        clients[up].settled()
        due_s = now_s + clients[up].wait_s(now_s - up_since_s, taken_over=True)
        up, up_since_s = 1 - up, now_s
        takeovers.append(now_s)
    assert sum(at < 25.0 for at in takeovers) <= 8, "93 in 25 s before"
    assert sum(at > 300.0 for at in takeovers) <= 3_300 / 30


def test_a_rival_that_the_broker_does_not_report_counts_as_a_takeover() -> None:
    backoff = Backoff(60.0, owner_settles=True, draw=lambda: 0.0)
    backoff.rival()
    assert [backoff.wait_s(30.0) for _ in range(4)] == [1, 2, 4, 8]
    assert backoff.wait_s(601.0) == 0.0


def test_a_single_takeover_is_forgotten_after_a_long_life() -> None:
    backoff = Backoff(60.0, owner_settles=True, draw=drawn_at_most)
    for _ in range(10):
        backoff.wait_s(1.0, taken_over=True)
    assert backoff.wait_s(601.0, taken_over=True) == 2.0
