"""Tools for asyncio. They know nothing of HTTP or clinics.

In reading order:

    clocks         the two clocks of a session
    cancel_scope   ends the work of a task at a deadline, after a silence, or when the session closes
    threads        blocking calls in threads of a session's own: one that hangs holds up no other
    forks          what a forked child does with the sockets and the event loop that it shares with its parent
    semaphore      a fair semaphore: waiters take their turn, and a cancelled one loses no slot
    byte_budget    the bytes that all connections may hold, and who reads on when they are spent
    queueing       the wait for a slot: how an error reports it, and whether it counts towards a deadline
    metering       what the records of a stream take in memory, for what keeps them
    lifetime       binds a session to an event loop, owns its tasks, and ends its work when it closes
    weak_when_idle values by key that are dropped when nothing is worth keeping
    single_flight  one piece of work for all callers that want the same, with one outcome
"""
