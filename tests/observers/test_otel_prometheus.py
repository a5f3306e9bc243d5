"""Prometheus, by way of OpenTelemetry's exporter, which goes with the newest SDK only."""

from __future__ import annotations

import asyncio
import re

import prometheus_client
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from support import RawServer, answer
from test_otel import QUICK
from test_tracing import scripted

from arzamed_async import ArzamedSession
from arzamed_async.otel import OTelObserver

pytestmark = pytest.mark.asyncio


async def test_prometheus_has_it() -> None:
    """What Prometheus scrapes, by way of OpenTelemetry's exporter, holds the metrics under the names the docs give."""
    meters = MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    observer = OTelObserver(meter_provider=meters)
    async with (
        RawServer(scripted(answer(503))) as server,
        ArzamedSession(base_url=server.base_url, retry=QUICK, observers=[observer]) as session,
    ):
        observer.watch(session)
        await session.clinic(server.credentials()).doctors.list()
        text = (await asyncio.to_thread(prometheus_client.generate_latest)).decode()
    names = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    assert {
        "http_client_request_duration_seconds", "arzamed_call_duration_seconds", "arzamed_token_requests_total",
        "arzamed_retries_total", "arzamed_requests_in_flight", "arzamed_pool_connections",
    } <= names  # fmt: skip
    assert 'http_response_status_code="503"' in text
    meters.shutdown()
