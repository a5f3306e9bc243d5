"""Infers what the records of an endpoint are, without keeping a value of them, and writes it as a module.

From records to a model, in reading order:

    schema    what records are: scalars, lists, maps and objects, with shares
    bounds    the most that is kept of hostile data, and which keys are names
    forms     the forms of dates and times, and which one `to_dict` has to write
    texts     what the texts at one place are: dates, times, UUIDs, choices, or text
    numbers   what whole numbers are: too large for a float, or perhaps times
    plain     takes records of a caller's as JSON
    columns   turns objects into the values of each key
    maps      distinguishes maps from objects by their structure
    observed  what stands at each place of the records seen so far
    resolve   decides from what was observed what the records are
    reading   reads records as windows of JSON objects
    inferred  infers the model of records: `infer_model`, and what it returns

From records and a class to a report:

    report     what a check of records against a class has found
    described  describes values by their kind
    accepted   what a type of a class accepts
    compared   compares records with a class, column by column
    check      checks records against a class: `check_model`

From a model to its module:

    source    the module of a model
    plan      which classes a model has, and their fields
    naming    names of fields and classes
    wording   docstrings
    imports   what a module imports
    render    classes and fields as Python
    layout    statements as ruff formats them

From a model, or a class, to invented records:

    invention  invents values
    inventor   invents records of a model or a class

A module that exists is widened:

    widened       the whole
    existing      reads its classes and fields
    annotations   reads types
    widen         widens classes by a model
    edits         changes the text where a class has changed
    import_edits  adds imports
"""
