"""Options of `arzamed` that concern its requests: time limits, proxies, and what `--verbose` reports."""

from __future__ import annotations

import json
import re

import pytest
from support.cli import run

from arzamed_async import PRODUCTION, SANDBOX
from arzamed_async._logs.setup import logger
from arzamed_async.cli import session
from arzamed_async.cli.verbose import environment_proxies, place_of

pytestmark = pytest.mark.usefixtures("place")

#: Nothing listens there: only a proxy can have responded.
NOWHERE = "http://127.0.0.1:9/api/v1"


def test_timeout_limits_a_call_and_the_advice_names_it(beside, place):
    """A clinic that hangs fails after --timeout, and the advice, in the report too, is one that is long enough."""
    file = beside.clinics(place, "Milano", "Roma")
    beside.do(lambda fake: fake.set_latency(600, "Roma"))
    done = beside.run("doctors", "--clinics", file, "--timeout", "0.7", "--report", str(place / "r.json"))
    assert done.exit_code == 3
    line = done.stderr.splitlines()[0]
    assert "Roma: GET equipe/doctors: deadline of 0.7 s exceeded" in line
    assert line.endswith("Retry later, or give --timeout more than twice the seconds that the response takes")
    roma = json.loads((place / "r.json").read_text())["clinics"][1]
    assert f"arzamed: {roma['message']}" == line
    done = beside.run("check", "--clinics", file, "--deadline", "0.7")
    assert "Give the run a longer --deadline" in done.stdout


@pytest.mark.parametrize("needed", [0.1, 7, 14, 16, 40, 3600])
def test_the_advice_on_a_slow_response_is_enough(needed):
    """A response that takes some seconds arrives with a --timeout of more than twice as many."""
    limits = session._timeouts(2 * needed + 0.1)
    assert limits.read_seconds > needed
    assert limits.total_seconds > needed
    assert limits.record_seconds > needed


def test_a_proxy_is_used(beside, place):
    """All requests go through --proxy, with or without a scheme, and -v names it without its password."""
    file = beside.clinics(place, "Milano")
    host = beside.fake.origin.removeprefix("http://")
    for proxy in (f"http://anna:invented@{host}", host):
        done = run("doctors", "--clinics", file, "--base-url", NOWHERE, "--proxy", proxy, "-v")
        assert done.exit_code == 0
        assert f"arzamed: proxy: http://{host} (--proxy)" in done.stderr.splitlines()
        assert "invented@" not in done.stderr


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_the_proxy_of_the_environment_is_used(beside, place, monkeypatch, variable):
    """Without --proxy the variables decide, as with curl; -v names them, and NO_PROXY exempts a host."""
    file, host = beside.clinics(place, "Milano"), beside.fake.origin.removeprefix("http://")
    monkeypatch.setenv(variable, f"anna:invented@{host}")
    done = run("doctors", "--clinics", file, "--base-url", NOWHERE, "-v")
    assert done.exit_code == 0
    assert f"arzamed: proxy: from the environment ({variable}={host})" in done.stderr.splitlines()
    assert "invented@" not in done.stderr
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert run("doctors", "--clinics", file, "--base-url", NOWHERE).exit_code == 4


def test_no_proxy_alone_names_none():
    """NO_PROXY without a proxy means that there is none."""
    assert environment_proxies({"NO_PROXY": "x", "https_proxy": " "}) == []
    assert environment_proxies({"HTTPS_PROXY": "h:1", "NO_PROXY": "x"}) == ["HTTPS_PROXY=h:1", "NO_PROXY=x"]


@pytest.mark.parametrize(
    "value",
    [
        "invented-canary",
        "anna:invented-canary",
        "http://anna:invented-canary",
        "http://anna:invented-canary/x@proxy.example:3128",
        "http://anna:12/invented-canary@proxy.example:3128",
        "http://anna:12#invented-canary@proxy.example:3128",
        "http://anna:12?invented-canary@proxy.example:3128",
        "http://anna:invented-canary://x@proxy.example:3128",
        "anna:invented-canary://x@proxy.example:3128",
        "invented-canary://[::1",
        "invented-canary@",
    ],
)
def test_a_password_in_the_wrong_place_of_a_proxy_is_not_shown(value):
    """A proxy of the environment that is no URL may be a password or part of one: only its variable is named."""
    (shown,) = environment_proxies({"HTTPS_PROXY": value})
    assert shown.startswith("HTTPS_PROXY=")
    assert "invented-canary" not in shown


def test_verbose_reports_the_place_and_each_request(beside, place):
    """With -v where it reads, each token request, each request and each retry are lines on stderr; a failure is one line."""
    file = beside.clinics(place, "Milano")
    beside.do(lambda fake: fake.script(503, 403, clinic="Milano"))
    done = beside.run("doctors", "--clinics", file, "-v")
    assert re.sub(r"\d\.\d\d\d|call \w+|\d+ bytes", "_", done.stderr).splitlines()[:-1] == [
        f"arzamed: clinics: {file}",
        f"arzamed: environment: neither production nor the sandbox, {beside.fake.base_url}",
        "arzamed: proxy: none",
        "arzamed: Milano: token request: HTTP 200 after _ s (attempt 1, _)",
        "arzamed: Milano: GET equipe/doctors: HTTP 503 after _ s (attempt 1, _, _)",
        "arzamed: Milano: attempt 1 of GET equipe/doctors failed (HTTP 503), retrying in _ s (_)",
        "arzamed: Milano: GET equipe/doctors: HTTP 403 after _ s (attempt 2, _, _)",
    ]
    assert done.stderr.splitlines()[-1].startswith("arzamed: Milano: GET equipe/doctors: HTTP 403")
    assert beside.run("doctors", "--clinics", file).stderr == ""  # and the log is silent again


def test_verbose_writes_no_line_twice(beside, place, monkeypatch):
    """A line that ARZAMED_LOG has written is not written by -v as well."""
    monkeypatch.setenv("ARZAMED_LOG", "debug")
    monkeypatch.setattr(logger, "handlers", [*logger.handlers])  # that of ARZAMED_LOG stays with the process
    monkeypatch.setattr(logger, "level", logger.level)
    done = beside.run("doctors", "--clinics", beside.clinics(place, "Milano"), "-v")
    assert json.loads(done.stdout.splitlines()[0])["clinic"] == "Milano"
    assert done.stderr.count("GET equipe/doctors: HTTP 200") == 1


def test_the_place_is_named():
    """Production and the sandbox are named, with their URLs."""
    assert place_of(PRODUCTION) == f"production, {PRODUCTION}"
    assert place_of(SANDBOX) == f"the sandbox, {SANDBOX}"
