"""Programs that work off jobs: arq.md with a real Redis, celery.md, lambda.md."""

from __future__ import annotations

import asyncio
import importlib.util
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recipe_pages import NAMES, import_page

from arzamed_async import CredentialsRejectedError, ServiceUnavailableError, errors
from arzamed_async.testing import FakeArzamed


@pytest.mark.filterwarnings("ignore::DeprecationWarning:celery", "ignore::DeprecationWarning:kombu")
@pytest.mark.parametrize("page", ["celery"], indirect=True)
def test_celery(page: Any, fake_arzamed: FakeArzamed) -> None:
    """Tasks of a worker share one session, and so one token; a revoked clinic fails the task with its error."""
    from celery.contrib.testing.worker import start_worker

    with start_worker(page.app, pool="threads", concurrency=4, perform_ping_check=False, loglevel="ERROR"):
        results = [page.count_doctors.delay("Milano") for _ in range(20)]
        assert [each.get(timeout=60) for each in results] == [2] * 20
        failed = page.count_doctors.delay("Bari")
        with pytest.raises(CredentialsRejectedError, match="Equipe Settings"):
            failed.get(timeout=60)
    fake_arzamed.assert_token_requests("Milano", 1)


ERRORS = [getattr(errors, name) for name in errors.__all__]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:celery", "ignore::DeprecationWarning:kombu")
@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml"])
def test_each_error_comes_back_from_celerys_backends(serializer: str) -> None:
    """By Celery's own functions, each class of the tree keeps its class, its text and its facts; the caller catches it by class."""
    from celery import Celery, states
    from celery.backends.base import BaseBackend

    backend = BaseBackend(Celery("invented", set_as_current=False), serializer=serializer, accept=[serializer])
    for kind in ERRORS:
        error = kind(clinic="Milano", method="GET", path="equipe/doctors", attempts=3, call_id="c1")
        sent = backend.encode_result(error, states.FAILURE)
        back = backend.exception_to_python(backend.decode(backend.encode(sent)))
        assert type(back) is kind
        assert (str(back), vars(back)) == (str(error), vars(error))


def test_each_error_passes_celerys_fallbacks() -> None:
    """An error that cannot be pickled as it is, such as one of a local class, is its nearest class in the tree, with its facts.

    Where a reader does not know the class, its name and what failed are left.
    """
    from celery.utils import serialization

    for kind in ERRORS:
        local = type("Local", (kind,), {})(clinic="Milano", attempts=3)
        nearest = serialization.get_pickleable_exception(local)
        assert type(nearest) is kind
        assert (str(nearest), vars(nearest)) == (str(local), vars(local))
        wrapped = serialization.UnpickleableExceptionWrapper.from_exception(local)
        restored = serialization.get_pickled_exception(pickle.loads(pickle.dumps(wrapped)))
        assert type(restored).__name__ == "Local"
        assert "Milano" in str(restored)


@pytest.mark.parametrize("page", ["lambda"], indirect=True)
def test_lambda(page: Any, fake_arzamed: FakeArzamed) -> None:
    """Warm invocations, each with an event loop of its own, keep the token."""
    assert [page.handler({"clinic": "Milano"}, None) for _ in range(5)] == [NAMES] * 5
    fake_arzamed.assert_token_requests("Milano", 1)
    asyncio.run(page.session.aclose())


@pytest.fixture
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of its own, by the helper of the token stores' tests."""
    file = Path(__file__).parents[1] / "stores" / "shared" / "redis_server.py"
    spec = importlib.util.spec_from_file_location("redis_server", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with module.RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.plain_url


#: arq closes its pool by a method that redis-py has renamed.
ARQ = pytest.mark.filterwarnings("ignore:Call to deprecated close:DeprecationWarning")


def worker_of(page: Any) -> Any:
    """Return a worker with the page's settings, which ends when the queue is empty."""
    from arq.worker import create_worker

    return create_worker(page.WorkerSettings, burst=True, poll_delay=0.01, handle_signals=False)


@ARQ
def test_arq(redis_url: str, place: Path, fake_arzamed: FakeArzamed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, one after the other, share a token by Redis; a rejected key ends its job; an outage is tried again."""
    from arq import create_pool

    monkeypatch.setenv("REDIS_URL", redis_url)
    page = import_page("arq", monkeypatch)

    async def work() -> None:
        worker = worker_of(page)
        try:
            await worker.main()
        finally:
            await worker.close()

    async def main() -> None:
        pool = await create_pool(page.WorkerSettings.redis_settings)
        try:
            jobs = [await pool.enqueue_job("count_doctors", "Milano") for _ in range(20)]
            await work()
            assert [await each.result() for each in jobs if each] == [2] * 20
            again, revoked = [await pool.enqueue_job("count_doctors", each) for each in ("Milano", "Bari")]
            assert again is not None
            assert revoked is not None
            await work()
            assert await again.result() == 2
            with pytest.raises(CredentialsRejectedError, match="Bari"):
                await revoked.result()
            fake_arzamed.assert_token_requests("Milano", 1)
        finally:
            await pool.aclose()

    asyncio.run(main())


@ARQ
def test_the_last_try_of_an_arq_job_raises_the_error(
    redis_url: str, place: Path, fake_arzamed: FakeArzamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a clinic is down a job is run again, and its result is in the end the library's error, not arq's."""
    from arq import create_pool

    monkeypatch.setenv("REDIS_URL", redis_url)
    page = import_page("arq", monkeypatch)
    fake_arzamed.fail(503, times=None)

    async def impatient(ctx: dict[str, Any]) -> None:
        await page.startup(ctx)
        await ctx["session"].aclose()
        from arzamed_async import ArzamedSession, RetryPolicy

        ctx["session"] = ArzamedSession(base_url=fake_arzamed.base_url, retry=RetryPolicy.none())

    async def main() -> None:
        from arq.worker import create_worker

        class Soon(page.Retry):  # type: ignore[misc,name-defined]
            def __init__(self, defer: float) -> None:
                super().__init__(defer / 1000)

        monkeypatch.setattr(page, "Retry", Soon)
        pool = await create_pool(page.WorkerSettings.redis_settings)
        worker = create_worker(
            page.WorkerSettings, burst=True, poll_delay=0.01, handle_signals=False, on_startup=impatient
        )
        try:
            job = await pool.enqueue_job("count_doctors", "Milano")
            assert job is not None
            await worker.main()
            with pytest.raises(ServiceUnavailableError, match="Milano"):
                await job.result()
            fake_arzamed.assert_api_requests("Milano", page.MAX_TRIES)
        finally:
            await worker.close()
            await pool.aclose()

    asyncio.run(main())
