"""Traces and metrics with OpenTelemetry (extra `otel`)."""

from importlib.util import find_spec

from arzamed_async._extras import missing_package

if find_spec("opentelemetry") is None:
    raise ModuleNotFoundError(missing_package("arzamed_async.otel", "opentelemetry-api", "otel"))

from ._observer import OTelObserver

__all__ = ["OTelObserver"]
