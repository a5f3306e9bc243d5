"""Runs one coroutine for each of many clinics: bounded, lazy, and nothing keeps running after the end.

It knows no HTTP, no token and no `Clinic`: a clinic is whatever the session's `handle` makes of what is drawn.
In reading order:

    feed     the clinics, drawn one by one
    buffer   the records of a merge that wait for its consumer
    workers  the plan of a run, and the worker pool that carries it out
    results  an async iterator over the results, as they are completed
    fan_out  `session.fan_out` and `session.gather`
    merge    `session.merge`: the streams of many clinics as one
"""
