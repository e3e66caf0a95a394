from __future__ import annotations

from logops_fast.http.admission import Admission
from logops_fast.http.budget import Budget
from logops_fast.http.limits import HttpLimits
from logops_fast.http.proxies import TrustedProxies


def test_a_connection_is_counted_once_and_given_up_once() -> None:
    budget = Budget(HttpLimits(max_connections_per_address=1))
    admission = Admission(budget, TrustedProxies([]))
    admission.give_up()
    assert (budget.connections, admission.counted) == (0, False)
    for _ in range(2):
        admission.count("192.0.2.1")
        assert (budget.connections, admission.counted) == (1, True)
    assert not budget.admits("192.0.2.1")
    for _ in range(2):
        admission.give_up()
        assert (budget.connections, admission.counted) == (0, False)
    assert budget.admits("192.0.2.1")


def test_a_trusted_proxy_counts_against_no_address() -> None:
    budget = Budget(HttpLimits(max_connections_per_address=1))
    admission = Admission(budget, TrustedProxies(["10.0.0.0/8"]))
    admission.count("10.0.0.1")
    assert budget.connections == 1
    assert budget.admits("10.0.0.1")
    admission.give_up()
    assert budget.connections == 0
