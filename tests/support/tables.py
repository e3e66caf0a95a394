"""Tests over a table of cases, in one item."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

import pytest


def each_of(
    names: str | tuple[str, ...], rows: Iterable[Any], ids: Iterable[str] | Callable[[Any], Any] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Call a test for every row of a table, as ``pytest.mark.parametrize`` does, but as one item of the run.

    An item costs pytest more than a row of most tables costs the test. All rows are tried; those that fail are raised
    together, each with its row in a note. For tests without fixtures: a fixture would be the same for all rows.
    """
    parameters = (names,) if isinstance(names, str) else names
    table = list(rows)
    if not table:
        raise ValueError(f"there are no rows of {names}")
    labels = list(map(repr, table)) if ids is None else [str(ids(row)) for row in table] if callable(ids) else list(ids)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def over_all(**others: Any) -> None:
            failures = list(failed(test, arguments(), labels, others))
            if failures:
                raise ExceptionGroup(f"{len(failures)} of {len(table)} rows of {', '.join(parameters)}", failures)

        def arguments() -> Iterator[dict[str, Any]]:
            for row in table:
                yield dict(zip(parameters, row if len(parameters) > 1 else (row,), strict=True))

        signature = inspect.signature(test)
        kept = [one for name, one in signature.parameters.items() if name not in parameters]
        assert len(kept) == len(signature.parameters) - len(parameters), f"{test.__name__} does not take {names}"
        over_all.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return over_all

    return decorate


def failed(
    test: Callable[..., None], rows: Iterable[dict[str, Any]], labels: Iterable[str], others: dict[str, Any]
) -> Iterator[Exception]:
    """Yield what each row that fails raised."""
    for row, label in zip(rows, labels, strict=True):
        try:
            test(**row, **others)
        except (Exception, pytest.fail.Exception) as error:
            # What pytest.fail raises is no Exception, and a group holds nothing else.
            failure = error if isinstance(error, Exception) else AssertionError(str(error))
            failure.add_note(f"row: {label}")
            yield failure
