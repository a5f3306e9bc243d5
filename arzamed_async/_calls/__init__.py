"""Makes one call through its layers: deadline, retries, circuit breaker, token, slot, connection.

In reading order:

    call     one GET with all its attempts
    request  what a call requests, and under which policies
    engine   what all calls of a session share
    clinics  the state of each clinic in a session
"""
