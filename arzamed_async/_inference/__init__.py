"""Infers what the records of an endpoint are, without keeping a value of them, and writes it as a module.

Its modules in reading order:

    schema   what records are: scalars, lists, maps and objects, with shares
    source   the module of a model
    plan     which classes a model has, and their fields
    naming   names of fields and classes
    wording  docstrings
    imports  what a module imports
    render   classes and fields as Python
    layout   statements as ruff formats them
"""
