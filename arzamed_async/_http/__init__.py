"""Sends one HTTP request and reads its response.

In reading order:

    outgoing       what one request sends, and within which limits
    made           makes the transport of a session from its arguments
    user_agent     the name of the application in the User-Agent
    transport      opens a response, over one of two lanes
    direct         the direct lane: one write, one read
    line           one connection of that lane, and one exchange over it
    parsed         aiohttp's parser of one response, for those that need one
    probe          tries that parser: with a version that is not known, requests take the other lane
    handler        aiohttp's protocol, and the guard of its private names
    request_bytes  the bytes of a request
    response_scan  recognises a response received completely in one read
    resolver       looks host names up, in threads of the session
    pool           opens connections with aiohttp, never more than the limit
    response       a response whose body is read piece by piece
    inbound        a body that is still arriving, within the session's budget of bytes
    decompress     undoes gzip and deflate, within bounds
    connections    counts the open sockets and closes idle ones, so that there are never more than the pool allows
    proxies        the proxy of a URL, by the environment
    proxy_logins   which proxy a request takes, and which have refused their login
    given          checks a session that the caller gives
    failures       turns exceptions of libraries into a TransportError
    reasons        why a connection failed, without addresses or secrets
    urls           builds a URL below the base URL
    templates      the parameters of a path, and their values
    status         turns a status over 299 into an error
    rate_limit     the pause that a refusal requires
"""
