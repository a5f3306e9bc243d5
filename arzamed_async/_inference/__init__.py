"""Infers what the records of an endpoint are, without keeping a value of them.

schema  what records are: scalars, lists, maps and objects, with shares
"""
