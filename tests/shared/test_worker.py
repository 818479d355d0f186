"""A worker lives on, whatever its step raises, and ends on request."""

import logging
import threading
from collections.abc import Callable

import pytest

from shared.errors import OverloadedError, UnavailableError
from shared.worker import Worker
from tests.server_processes import eventually


def failing(times: int, error: Exception, then: Callable[[], float]) -> Callable[[], float]:
    """A step that raises some times first."""
    left = [times]

    def step() -> float:
        if left[0] > 0:
            left[0] -= 1
            raise error
        return then()

    return step


def test_a_step_that_raises_what_no_one_expected_is_taken_again_and_counted() -> None:
    done = threading.Event()
    worker = Worker("test", failing(3, ZeroDivisionError("ours"), lambda: done.set() or 60.0), cap_s=0.01)  # type: ignore[func-returns-value]
    worker.start()
    assert done.wait(10)
    worker.stop()
    assert (worker.restarts, worker.waits, worker.well) == (3, 0, True)


@pytest.mark.parametrize("error", [UnavailableError("away"), OverloadedError("full")])
def test_a_server_that_is_away_is_waited_for_and_counts_as_no_restart(error: Exception) -> None:
    done = threading.Event()
    worker = Worker("test", failing(3, error, lambda: done.set() or 60.0), cap_s=0.01)  # type: ignore[func-returns-value]
    worker.start()
    assert done.wait(10)
    worker.stop()
    assert (worker.restarts, worker.waits) == (0, 3)


def test_the_traceback_of_each_kind_of_fault_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    steps = [0]

    def step() -> float:
        steps[0] += 1
        if steps[0] % 2:
            raise ZeroDivisionError("odd")
        raise KeyError("even")

    worker = Worker("test", step, cap_s=0.0)
    worker.start()
    eventually(lambda: worker.restarts >= 6, 20, "it failed six times")
    worker.stop()
    faults = [record for record in caplog.records if record.message == "worker failed and goes on"]
    assert [record.exc_info is not None for record in faults[:6]] == [True, True, False, False, False, False]
    assert "ZeroDivisionError" in str(faults[0].__dict__["reason"])
    assert faults[0].__dict__["worker"] == "test"


def test_a_wait_is_logged_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    done = threading.Event()
    worker = Worker("test", failing(5, UnavailableError("away"), lambda: done.set() or 60.0), cap_s=0.0)  # type: ignore[func-returns-value]
    worker.start()
    assert done.wait(10)
    worker.stop()
    assert [(record.message, record.levelname) for record in caplog.records] == [
        ("worker waits", "WARNING"),
        ("worker goes on", "INFO"),
    ]


def test_what_puts_the_state_right_is_called_with_the_error_and_may_fail_itself() -> None:
    errors: list[Exception] = []
    done = threading.Event()

    def failed(error: Exception) -> None:
        errors.append(error)
        raise ValueError("this too")

    fault = ZeroDivisionError("ours")
    step = failing(2, fault, lambda: done.set() or 60.0)  # type: ignore[func-returns-value]
    worker = Worker("test", step, failed=failed, cap_s=0.01)
    worker.start()
    assert done.wait(10)
    worker.stop()
    assert errors == [fault, fault]


def test_a_stop_interrupts_the_wait_and_finishes() -> None:
    finished = threading.Event()
    worker = Worker("test", lambda: 3600.0, finish=finished.set)
    worker.start()
    worker.stop(within_s=10)
    assert finished.is_set()
    assert worker.well


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_thread_ended_by_itself_is_not_well() -> None:
    def step() -> float:
        raise KeyboardInterrupt

    worker = Worker("test", step)
    assert worker.well, "it was not started"
    worker.start()
    eventually(lambda: not worker.well, 20, "the end is noticed")


def test_a_worker_runs_on_the_thread_of_its_caller_too() -> None:
    steps: list[str] = []

    def step() -> float:
        steps.append(threading.current_thread().name)
        if len(steps) == 3:
            worker.wind_down()
        return 0.0

    worker = Worker("test", step)
    worker.run()
    assert steps == [threading.current_thread().name] * 3
