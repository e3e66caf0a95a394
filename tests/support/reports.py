"""Fewer messages between the processes of a parallel run.

A process of xdist sends six messages a test: it starts, its set-up, call and tear-down are over, it ends, the next one
is due. A test of a millisecond costs less than they do. Of a test that passes this sends the call alone; what else
there is to know of it (options that print it) is asked for by few.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol

ASK_FOR_ALL = ("durations", "xmlpath", "maxfail", "usepdb", "setupshow", "setuponly")
"""Options whose effect needs each report, or each report at once."""


class FewReports:
    """The plugin of a process that runs tests for another one."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, as pytest does, and report what is of use."""
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if of_use(report):
                item.ihook.pytest_runtest_logreport(report=report)
        return True


def of_use(report: pytest.TestReport) -> bool:
    """Return whether a report says more than that there was nothing to report."""
    return report.when == "call" or not report.passed


def reduce_reports(config: pytest.Config) -> None:
    """Register the plugin, if this process runs tests for another one that shows no more than their outcome."""
    asked = any(config.getoption(name, None) for name in ASK_FOR_ALL)
    if hasattr(config, "workerinput") and not asked and config.get_verbosity() <= 0:
        config.pluginmanager.register(FewReports())
