"""Traces and metrics by OpenTelemetry (extra `otel`)."""

from importlib.util import find_spec

if find_spec("opentelemetry") is None:
    raise ModuleNotFoundError("arzamed_async.otel needs opentelemetry-api: pip install 'arzamed-async[otel]'")

from ._observer import OTelObserver

__all__ = ["OTelObserver"]
