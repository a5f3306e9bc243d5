"""Fan-out on a Dask cluster, for when one machine is not enough (extra `dask`)."""

from ._fan_out import DaskFanOut, SessionOptions, fan_out_dask

__all__ = ["DaskFanOut", "SessionOptions", "fan_out_dask"]
