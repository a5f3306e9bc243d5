"""Turns a clinic's credentials into the Authorization header of a request.

In reading order:

    provider       gives a caller the clinic's token, within the caller's deadline
    cache          one token for each clinic, refreshed in the background, and one fetch for all waiters
    fetch          gets a new token, from the token store or from the token endpoint
    request        the token request with its retries
    oauth2         the rules of that request and its response (RFC 6749)
    secrets        reads a secret from a variable or a file
    shared         the token store: one fetch for many processes
    guarded_store  calls a store with time limits, and goes on without one that fails
    foreign        the name and the text of an exception that a store raised

A token has four forms: `oauth2.IssuedToken` is read from the endpoint's response, `cache.CachedToken` adds when it is
refreshed, `token_store.StoredToken` is what processes share, and `models.Token` is what a caller gets.
"""
