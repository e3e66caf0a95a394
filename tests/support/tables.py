"""Tests over a table of cases, in one item."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from math import ceil
from random import Random
from typing import Any

import pytest

from tests.support.examples import thorough


def each_of(
    names: str | tuple[str, ...],
    rows: Iterable[Any],
    ids: Iterable[str] | Callable[[Any], Any] | None = None,
    *,
    everyday: float = 1.0,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test for every row of a table, as ``pytest.mark.parametrize`` does, but as one item of the run.

    An item costs pytest more than a row of most tables costs the test. All rows are tried; those that fail are raised
    together, each with its row in a note. For tests without fixtures: a fixture would be the same for all rows.

    Of a table whose rows cost much, a developer's run tries the share ``everyday``, other rows in each run; CI tries
    them all.
    """
    parameters = (names,) if isinstance(names, str) else names
    table = list(rows)
    if not table:
        raise ValueError(f"there are no rows of {names}")
    listed = None if ids is None or callable(ids) else list(ids)
    if listed is not None and len(listed) != len(table):
        raise ValueError(f"there are {len(table)} rows of {names} and {len(listed)} ids")

    def label(at: int) -> str:
        """Name a row; only when it failed, as some are megabytes."""
        return listed[at] if listed is not None else str(ids(table[at])) if callable(ids) else repr(table[at])

    def arguments(at: int) -> dict[str, Any]:
        return dict(zip(parameters, table[at] if len(parameters) > 1 else (table[at],), strict=True))

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def over_all(**others: Any) -> None:
            chosen = sampled(len(table), 1.0 if thorough() else everyday)
            failures: list[Exception] = []
            for at in chosen:
                if (failure := failure_of(test, arguments(at) | others)) is not None:
                    failure.add_note(f"row: {label(at)}")
                    failures.append(failure)
            if failures:
                raise ExceptionGroup(f"{len(failures)} of {len(chosen)} rows of {', '.join(parameters)}", failures)

        signature = inspect.signature(test)
        kept = [one for name, one in signature.parameters.items() if name not in parameters]
        assert len(kept) == len(signature.parameters) - len(parameters), f"{test.__name__} does not take {names}"
        over_all.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return over_all

    return decorate


def sampled(count: int, share: float) -> list[int]:
    """Return a share of the places in a table of so many rows, in their order: at least one, and all for 1."""
    return sorted(Random().sample(range(count), min(count, ceil(share * count))))


def failure_of(test: Callable[..., None], arguments: dict[str, Any]) -> Exception | None:
    """Return what a row raises, if it fails."""
    try:
        test(**arguments)
    except (Exception, pytest.fail.Exception) as error:
        # What pytest.fail raises is no Exception, and a group holds nothing else.
        return error if isinstance(error, Exception) else AssertionError(str(error))
    return None
