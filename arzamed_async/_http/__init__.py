"""Sends one HTTP request and reads its response.

In reading order:

    transport    opens a response; the only importer of aiohttp
    response     a response whose body is read piece by piece
    decompress   undoes gzip and deflate, within bounds
    connections  counts the open sockets and closes idle ones, so that there are never more than the pool allows
    reasons      why a connection failed, without addresses or secrets
    urls         builds a URL below the base URL
    status       turns a status over 299 into an error
"""
