"""What tests share. The server on loopback is handed on from here; the rest is imported by module."""

from support.raw_server import DOCTORS, SECRET, TOKEN, RawServer, Request, answer, json_answer, settle, token_answer

__all__ = ["DOCTORS", "SECRET", "TOKEN", "RawServer", "Request", "answer", "json_answer", "settle", "token_answer"]
