"""Turns bytes into records, strictly and without I/O.

In reading order:

    json_array  cuts a JSON array into windows of whole elements as its bytes arrive
    json_cuts   finds the last complete element of a buffer
    decoder     decodes the values of a window into records; the only importer of cattrs
    codegen     compiles the function that decodes the records of one class
    hooks       the strict rules for fields that hold other classes and collections
    scalars     the strict rules for numbers, texts, dates and enums
"""
