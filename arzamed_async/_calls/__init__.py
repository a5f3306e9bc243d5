"""Makes one call through its layers: deadline, retries, circuit breaker, token, turn, slot, connection.

In reading order:

    call     one GET with all its attempts
    sending  its requests: token, turn, slot, connection
    request  what a call requests, and under which policies
    engine   what all calls of a session share
    clinics  the state of each clinic in a session
"""
