"""Decides whether a failed request is retried, and when.

In reading order:

    retry            the retry loop, and the only importer of backoff
    budget           the session's budget of retries, so that an outage is not multiplied
    circuit_breaker  stops requests to a clinic that keeps failing
"""
