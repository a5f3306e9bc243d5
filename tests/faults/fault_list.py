"""Every fault, in the order of docs/reference/fault-matrix.md."""

from __future__ import annotations

from fault_model import Fault
from faults_bodies import BODIES, CODED_ERRORS, CODINGS
from faults_connection import ANSWERING, CONNECTION, KEPT_ALIVE
from faults_framing import HEADS, LENGTHS, NOT_HTTP
from faults_lists import RECORDS, SYNTAX
from faults_statuses import REDIRECTS, REFUSAL_BODIES, REFUSALS, WAITS
from faults_tls import TLS
from faults_tokens import FIELDS, OAUTH_ERRORS, SHAPES

__all__ = ["FAULTS"]

FAULTS: tuple[Fault, ...] = (
    *CONNECTION,
    *TLS,
    *ANSWERING,
    *KEPT_ALIVE,
    *NOT_HTTP,
    *HEADS,
    *LENGTHS,
    *BODIES,
    *CODINGS,
    *REFUSALS,
    *WAITS,
    *REDIRECTS,
    *REFUSAL_BODIES,
    *CODED_ERRORS,
    *SHAPES,
    *FIELDS,
    *OAUTH_ERRORS,
    *SYNTAX,
    *RECORDS,
)
