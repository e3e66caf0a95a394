"""The exceptions of the project: one family, so that a caller can tell them from the errors of libraries.

``LogOpsError`` is the base of every exception defined in ``logops_fast``. ``OperatorError`` is one that the person who
runs the program can act on: its text is a single line, and the command line prints it and exits with code 2 instead of
showing a traceback. This module imports nothing of the project, so that every package can derive from it.
"""

from __future__ import annotations


class LogOpsError(Exception):
    """The base of all exceptions of the project."""


class OperatorError(LogOpsError):
    """A problem the operator can fix: ``str(error)`` is one readable line, with unprintable characters escaped."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))

    @property
    def located(self) -> str:
        """The line to print; subclasses put the place in front, the way compilers do."""
        return str(self)


class StartupError(OperatorError):
    """The service cannot start, and trying again would not help."""


def one_line(text: str) -> str:
    """Return the text with unprintable characters escaped; keys, paths and names may hold any."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
