"""Runs one coroutine for each of many clinics: bounded, lazy, and with nothing left running.

In reading order:

    workers  the worker tasks, and how clinics are drawn for them
    results  the results as they are completed
    fan_out  `session.fan_out` and `session.gather`
    merge    `session.merge`: the streams of many clinics as one
"""
