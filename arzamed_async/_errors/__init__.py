"""The classes of errors. They are imported from `errors`, which is the name that they show.

In reading order:

    base       the root, and errors of the caller's own
    transport  there is no usable HTTP response
    token      the token endpoint returned no token
    response   the API's response is an error, or not what it documents
"""
