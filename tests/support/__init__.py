"""What tests share. The server on loopback is handed on from here; the rest is imported by module."""

from support.raw_server import (
    DOCTORS,
    SECRET,
    TOKEN,
    RawServer,
    Request,
    answer,
    json_answer,
    settle,
    token_answer,
    until,
)

#: What the difference of two times of an event loop may lack, in seconds: uvloop's are whole milliseconds, as floats.
CLOCK_BIT = 1e-6

__all__ = [
    "CLOCK_BIT",
    "DOCTORS",
    "SECRET",
    "TOKEN",
    "RawServer",
    "Request",
    "answer",
    "json_answer",
    "settle",
    "token_answer",
    "until",
]
