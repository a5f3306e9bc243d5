"""Reads a list endpoint: as a whole, or as a stream that resumes where it broke.

In reading order:

    body    reads one response as records, window by window, and resumes where it broke
    whole   reads a list as a whole, alone or together with other callers
    stream  reads a list as a stream
"""
