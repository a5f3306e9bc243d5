"""The classes of errors. Import them from `arzamed_async.errors`, which their `__module__` names.

In reading order:

    base       the root, and errors that the caller causes
    transport  there is no usable HTTP response
    token      the token endpoint returned no token
    response   the API's response is an error, or not what it documents
"""
