"""The states of a connection, and what each event makes of them.

Blank: the event cannot happen there, or changes nothing.

    event                      IDLE     HEAD     WAIT     BODY     DISCARD
    part of a head             HEAD     HEAD     WAIT              DISCARD
    a whole head               WAIT     WAIT     WAIT              DISCARD
    a bad head                 DISCARD  DISCARD  WAIT              DISCARD
    the body is accepted                         BODY
    part of the body                             WAIT     BODY     DISCARD
    the end of the body                          WAIT     WAIT     DISCARD
    an answer                                    IDLE     DISCARD
    a last answer                                DISCARD  DISCARD
    end of file                CLOSED   CLOSED   WAIT     CLOSED   CLOSED
    the deadline               CLOSED   DISCARD           DISCARD  CLOSED
    the connection is lost     CLOSED   CLOSED   CLOSED   CLOSED   CLOSED

Bytes that arrive in WAIT are buffered, and parsed once the request is answered. An answer is a last one if the request
or the response says ``Connection: close``, while the server drains, or if the body has not ended: what follows could
otherwise be taken for a request.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """Where a connection is between two requests; see the table above."""

    IDLE = 0  # between requests; nothing of the next one has arrived
    HEAD = 1  # part of a head has arrived
    WAIT = 2  # the application has a request: its body is not accepted yet, or has ended
    BODY = 3  # a body is being delivered to its consumer
    DISCARD = 4  # the last answer is given; whatever arrives is dropped
    CLOSED = 5  # closing, or closed


# Bound once: an Enum member costs two look-ups each time it is named, and a connection names them for every request.
IDLE: Final = State.IDLE
HEAD: Final = State.HEAD
WAIT: Final = State.WAIT
BODY: Final = State.BODY
DISCARD: Final = State.DISCARD
CLOSED: Final = State.CLOSED
