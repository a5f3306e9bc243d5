"""Reads a list endpoint: as a whole, or as a stream that resumes where it broke.

In reading order:

    body    reads one response as records, window by window
    whole   reads a list as a whole, alone or together with other callers
    stream  reads a list as a stream
    resume  checks and skips what a broken stream has delivered already
"""
