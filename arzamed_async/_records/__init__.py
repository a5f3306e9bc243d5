"""Turns bytes into records, strictly and without I/O.

In reading order:

    json_array    cuts a JSON array into windows of whole elements as its bytes arrive
    digest        what the parser needs of a hash object
    json_cuts     finds the last complete element of a buffer
    elements      takes a window apart that is not JSON as a whole
    decoder       decodes the values of a window into records; the only importer of cattrs
    raw           returns JSON objects as they were decoded
    encoder       turns records into plain values
    codegen       compiles the function that decodes the records of one class
    fields        what the fields of a class are called in JSON, and their types
    hook_builder  finds the hook for each type in a class
    hooks         the strict rules for fields that hold collections and choices
    unions        the strict rules for fields of more than one type
    missing       the value of a field that was not in the record
    forms         the forms in which dates and times are written
    scalars       the strict rules for numbers, texts and dates
    footprint     estimates what the records take in memory
    shape         finds the keys that the class does not know
"""
