"""Reads an endpoint: a list as a whole, or as a stream that resumes after a broken connection; or one object.

In reading order:

    kept    bounds the memory of the records that are kept
    body    reads the body of a response as records, window by window
    whole   reads a list as a whole, in a request of its own or one that callers share
    one     reads one object, in the same ways
    stream  reads a list as a stream of records or batches
    raw     reads a stream as JSON objects
"""
