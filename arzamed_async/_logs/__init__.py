"""What a session logs by itself, under the logger `arzamed_async` of the standard library.

In reading order:

    setup      the logger, and its handler where ARZAMED_LOG is set
    sentences  an event as a line with fields
    failures   calls that failed: one line each, but one with a count where many clinics fail at one host
"""
