"""test_api: calls of the OpenAI interface against a running server, a row for each in a table.

Only servers on this machine are tested, since fifty requests at once are a load. What a check expects is what clients
rely on: status, shape of the JSON, the end of a stream; never which words a model says.
"""

from __future__ import annotations

import ipaddress
import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from doit_cargo.actions import print_report, require_package
from doit_cargo.actions.serving import background, program
from doit_cargo.actions.signals import interruptible
from doit_cargo.engine.base.errors import COULD_NOT_RUN, Problem, UserError
from doit_cargo.engine.base.tables import aligned, counted
from doit_cargo.engine.console import reporter

if TYPE_CHECKING:
    import httpx

    from doit_cargo.engine.base.variables import Values
    from doit_cargo.session import Session

AT_ONCE = 50
MAX_TOKENS = 16
DEFAULT_TIMEOUT = 60
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Say hello."}]


class CheckError(Exception):
    """What a check found wrong."""


class ApiResult(NamedTuple):
    """A row of the report; `problem` is empty where all is well."""

    name: str
    milliseconds: float
    detail: str
    problem: str = ""


def require(session: Session, values: Values) -> None:
    """Raise `UserError` for missing libraries and for a server that is not on this machine."""
    require_package(session.current, "httpx", "serve")
    _require_local(_url(session, values))


def _url(session: Session, values: Values) -> str:
    """Return BASE_URL, or the address of PORT, of the test server that runs, or of the default port."""
    if values.text("BASE_URL"):
        return values.text("BASE_URL")
    server = None if values.number("PORT") else background.recorded(session)
    return server.url if server else f"http://{program.HOST}:{program.port_of(values)}"


def _require_local(url: str) -> None:
    from urllib.parse import urlsplit

    try:
        host = urlsplit(url).hostname or ""
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        what = f"{url} is not on this machine, and {AT_ONCE} requests at once are a load"
        raise UserError(Problem(what, f"BASE_URL=http://{program.HOST}:PORT", "BASE_URL"))


def test(session: Session, values: Values) -> bool:
    """Test the server and print a table; each check runs, whatever came of the others."""
    url = _url(session, values)
    return _report(session, url, list(_results(url, values.number("TIMEOUT") or DEFAULT_TIMEOUT)))


def start_test_stop(session: Session, values: Values) -> bool:
    """Start the test server, test it, and stop it whatever the outcome."""
    with interruptible(session.current):
        if not background.start(session, values):
            return False
        try:
            server = background.recorded(session)
            url = server.url if server else _url(session, values)
            good = _report(session, url, list(_results(url, values.number("TIMEOUT") or DEFAULT_TIMEOUT)))
        finally:
            background.stop(session, values)
    return good


def _report(session: Session, url: str, results: list[ApiResult]) -> bool:
    head = ("check", "result", "time", "what was seen")
    where = print_report(session, "test_api", aligned([head, *(_row(one) for one in results)]))
    failed = [one.name for one in results if one.problem]
    if failed:
        count = f"{len(failed)} of {counted(len(results), 'check')}"
        reporter.failed(session.current, f"{count} failed on {url}: {', '.join(failed)}; report: {where}")
        return False
    reporter.done(session.current, f"{counted(len(results), 'check')} passed on {url}; report: {where}")
    return True


def _row(one: ApiResult) -> tuple[str, ...]:
    result = "FAILED" if one.problem else "ok"
    return (one.name, result, f"{one.milliseconds:5.0f} ms", one.problem or one.detail)


def _results(url: str, seconds: int) -> Iterator[ApiResult]:
    import httpx

    limits = httpx.Limits(max_connections=AT_ONCE)
    with httpx.Client(base_url=url, timeout=seconds, limits=limits, trust_env=False) as client:
        first = _run("health", _health, client)
        if first.problem and not _is_there(client):
            fix = "doit-cargo test_server_start MODEL=... starts one; PORT= and BASE_URL= name another"
            raise UserError(Problem(f"no server answers at {url}", fix), COULD_NOT_RUN)
        yield first
        for name, check in CHECKS.items():
            yield _run(name, check, client)


def _is_there(client: httpx.Client) -> bool:
    import httpx

    try:
        client.get("/health")
    except httpx.HTTPError:
        return False
    return True


def _run(name: str, check: Callable[[httpx.Client], str], client: httpx.Client) -> ApiResult:
    import httpx

    started = time.monotonic()
    detail = problem = ""
    try:
        detail = check(client)
    except CheckError as error:
        problem = str(error)
    except httpx.HTTPError as error:
        problem = f"{type(error).__name__}: {error}"
    except (KeyError, IndexError, TypeError, ValueError) as error:
        problem = f"the answer has not the shape of the OpenAI interface: {type(error).__name__} {error}"
    return ApiResult(name, (time.monotonic() - started) * 1000, detail, problem)


def _expect(answer: httpx.Response, *statuses: int) -> httpx.Response:
    if answer.status_code not in statuses:
        wanted = " or ".join(str(status) for status in statuses)
        raise CheckError(f"status {answer.status_code} instead of {wanted}: {answer.text[:80]!r}")
    return answer


def _health(client: httpx.Client) -> str:
    return f"status {_expect(client.get('/health'), 200).status_code}"


def _models(client: httpx.Client) -> str:
    return ", ".join(_names(client))


def _names(client: httpx.Client) -> list[str]:
    data = _expect(client.get("/v1/models"), 200).json()["data"]
    if not data:
        raise CheckError("the list of models is empty")
    return [str(model["id"]) for model in data]


def _body(client: httpx.Client, **more: Any) -> dict[str, Any]:
    return {"model": _names(client)[0], "messages": MESSAGES, "max_tokens": MAX_TOKENS, **more}


def _chat(client: httpx.Client) -> str:
    return _content(_expect(client.post(CHAT, json=_body(client)), 200).json())


def _content(answer: dict[str, Any]) -> str:
    """Return what the answer of a chat says, in short; checks its shape."""
    choice = answer["choices"][0]
    text, role = choice["message"]["content"], choice["message"]["role"]
    if role != "assistant" or not isinstance(text, str) or choice["finish_reason"] not in ("stop", "length"):
        raise CheckError(f"role {role!r}, finish_reason {choice['finish_reason']!r}")
    return f"{answer['usage']['completion_tokens']} tokens: {text.strip()[:40]!r}"


def _completion(client: httpx.Client) -> str:
    body = {"model": _names(client)[0], "prompt": "Hello", "max_tokens": MAX_TOKENS}
    text = _expect(client.post("/v1/completions", json=body), 200).json()["choices"][0]["text"]
    return counted(len(text), "character")


def _stream(client: httpx.Client) -> str:
    """Read server-sent events to their end: pieces of text, a reason, [DONE]."""
    text, reason, last, pieces = "", "", "", 0
    with client.stream("POST", CHAT, json=_body(client, stream=True)) as answer:
        if answer.status_code != 200:
            raise CheckError(f"status {answer.status_code} instead of 200")
        for line in answer.iter_lines():
            if not line.startswith("data:"):
                continue
            last = line.removeprefix("data:").strip()
            if last == "[DONE]":
                break
            choice = json.loads(last)["choices"][0]
            text += choice.get("delta", {}).get("content") or ""
            reason = choice.get("finish_reason") or reason
            pieces += 1
    if last != "[DONE]" or not reason:
        raise CheckError(
            f"the stream ended after {pieces} pieces without {'a reason' if last == '[DONE]' else '[DONE]'}"
        )
    return f"{pieces} pieces, {reason}: {text.strip()[:40]!r}"


def _errors(client: httpx.Client) -> str:
    """Send what must be refused; the server must say so with a status and stay alive."""
    answers = {
        "an unknown path": client.get("/v1/nothing-like-this"),
        "no JSON": client.post(CHAT, content=b"{not json", headers={"content-type": "application/json"}),
        "no messages": client.post(CHAT, json={"model": "x"}),
        "a wrong method": client.get(CHAT),
    }
    wrong = [f"{name}: {got.status_code}" for name, got in answers.items() if not 400 <= got.status_code < 500]
    if wrong:
        raise CheckError(f"must be refused with a status of 400 to 499: {', '.join(wrong)}")
    _health(client)
    return ", ".join(f"{name} {got.status_code}" for name, got in answers.items())


def _at_once(client: httpx.Client) -> str:
    """Send many requests at once; all must be answered."""
    body = _body(client)

    def one(_: int) -> float:
        started = time.monotonic()
        _content(_expect(client.post(CHAT, json=body), 200).json())
        return time.monotonic() - started

    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(one, number) for number in range(AT_ONCE)]
        problems = [str(error) for future in futures if (error := future.exception())]
    if problems:
        raise CheckError(f"{len(problems)} of {AT_ONCE} requests failed: {problems[0][:100]}")
    times = sorted(future.result() for future in futures)
    return f"{AT_ONCE} answered; median {statistics.median(times) * 1000:.0f} ms, slowest {times[-1] * 1000:.0f} ms"


CHECKS: dict[str, Callable[..., str]] = {
    "models": _models,
    "chat": _chat,
    "chat, streamed": _stream,
    "completion": _completion,
    "errors": _errors,
    f"{AT_ONCE} at once": _at_once,
}
