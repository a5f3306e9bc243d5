"""Fan-out over the workers of a Dask cluster (extra `dask`).

In reading order:

    _plan     the options, checked, and the shards of clinics
    _store    the token store: what is sent, and what a worker makes of it
    _fan_out  `fan_out_dask` and its async iterator
    _cluster  whether the package is installed on scheduler and workers
    _run      a run: shards to the cluster, outcomes from it
    _worker   the part on the workers
"""

from ._fan_out import DaskFanOut, SessionOptions, fan_out_dask

__all__ = ["DaskFanOut", "SessionOptions", "fan_out_dask"]
