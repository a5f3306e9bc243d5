"""Decides whether a failed request is retried, and when, and how fast requests are sent where an API pushes back.

In reading order:

    retry            the retry loop, and the only importer of backoff
    budget           the session's budget of retries, so that an outage is not multiplied
    circuit_breaker  stops requests to a clinic that keeps failing
    pace             the rate of one scope that is throttled
    in_flight        its cap on requests in flight, where the limit is one of concurrency
    clinic_scope     what is known of one clinic at an origin
    paced_scopes     the clinics at an origin that are paced
    attribution      whose limit it is: the clinic's or the origin's
    origin_scope     an origin with its clinics: outcomes in, verdicts out
    turns            which request is next: clinics in turn
    pacing           the queue of an origin on an event loop
    passage          the way of one request through it
    session_pacing   all origins of a session
"""
