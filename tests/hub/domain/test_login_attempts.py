from hypothesis import given
from hypothesis import strategies as st

from hub.domain.login_attempts import LoginAttempts

HERE, ELSEWHERE = "198.51.100.7", "203.0.113.9"


def test_an_address_waits_after_ten_failures_until_the_first_is_five_minutes_old() -> None:
    attempts = LoginAttempts()
    assert [attempts.start(HERE, f"name-{n}", float(n)) for n in range(10)] == [0.0] * 10
    assert attempts.start(HERE, "another", 10.0) == 290.0
    assert attempts.start(ELSEWHERE, "another", 10.0) == 0.0
    assert attempts.start(HERE, "another", 300.0) == 0.0
    assert attempts.start(HERE, "another", 300.5) > 0.0


def test_a_name_waits_after_twenty_failures_from_many_addresses() -> None:
    attempts = LoginAttempts()
    assert not any(attempts.start(f"198.51.100.{n}", "Ines", 0.0) for n in range(20))
    assert attempts.start(ELSEWHERE, " ines ", 0.0) == 300.0
    assert attempts.start(ELSEWHERE, "ada", 0.0) == 0.0


def test_a_login_that_succeeds_counts_for_nothing() -> None:
    attempts = LoginAttempts()
    for n in range(50):
        assert attempts.start(HERE, "ines", float(n)) == 0.0
        attempts.succeeded(HERE, "ines")


def test_addresses_of_one_machine_count_together() -> None:
    attempts = LoginAttempts()
    assert not any(attempts.start(f"2001:db8::{n:x}", f"name-{n}", 0.0) for n in range(10))
    assert attempts.start("2001:db8::ffff", "another", 0.0) > 0.0
    assert attempts.start("2001:db8:0:1::1", "another", 0.0) == 0.0
    assert not any(attempts.start("::ffff:198.51.100.7", f"name-{n}", 0.0) for n in range(20, 30))
    assert attempts.start(HERE, "another", 0.0) > 0.0


@given(st.lists(st.tuples(st.sampled_from([HERE, ELSEWHERE]), st.floats(0, 60)), max_size=60))
def test_no_address_gets_more_than_ten_tries_in_five_minutes(tries: list[tuple[str, float]]) -> None:
    attempts = LoginAttempts()
    admitted = [
        address for address, at in sorted(tries, key=lambda one: one[1]) if not attempts.start(address, "", at)
    ]
    assert all(admitted.count(address) <= 10 for address in (HERE, ELSEWHERE))
