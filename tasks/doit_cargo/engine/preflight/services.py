"""Services that must run before a target can: asked at their address, before anything starts.

A service is a table of a pack (etcd, NATS, a database). Asking is bounded and goes to the address that the user's
variable names, by default to this machine. Knows nothing of targets but what they are called.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import SplitResult, urlsplit

from doit_cargo.engine.base.errors import Problem
from doit_cargo.engine.base.launch import Service
from doit_cargo.engine.base.process import processes
from doit_cargo.engine.plan.profiles.packs import GPU
from doit_cargo.engine.toolchain import Machine
from doit_cargo.engine.toolchain.tools import choose_way

SECONDS = 2.0
# What an address without a port means (IANA).
PORTS = {"http": 80, "https": 443}


def problems(target: str, services: Iterable[Service], machine: Machine) -> Iterator[Problem]:
    """Yield a problem for each service that does not answer: who needs it, where it was looked for, how to start it."""
    for service in services:
        found = problem(target, service, machine)
        if found:
            yield found


def problem(target: str, service: Service, machine: Machine) -> Problem | None:
    """Return what keeps a target from using a service, or None."""
    if service.name == GPU:
        return _without_gpu(target, machine)
    places = addresses(service, machine.environ)
    reasons = [reason for place in places if (reason := refusal(place, service.path))]
    if len(reasons) < len(places):
        return None
    asked = " and ".join(f"{place} ({reason})" for place, reason in zip(places, reasons, strict=True))
    what = f"{target} needs {service.name}, which does not answer at {asked}"
    return Problem(what, _how_to_start(service, machine), service.where)


def addresses(service: Service, environ: Mapping[str, str]) -> list[str]:
    """Return where a service is asked: what its variable names, several with commas, or its default."""
    named = environ.get(service.variable, "") if service.variable else ""
    return [place.strip() for place in (named or service.default).split(",") if place.strip()]


def refusal(place: str, path: str) -> str:
    """Return why nothing answers at HOST:PORT or at a URL, "" if something does.

    With a path an HTTP answer below 400 is asked for; else a connection is enough. Never through a proxy.
    """
    url = urlsplit(place if "//" in place else f"tcp://{place}")
    try:
        port = url.port or PORTS.get(url.scheme)
    except ValueError:
        port = None
    if not url.hostname or not port:
        return "no address such as http://127.0.0.1:2379"
    try:
        return _asked(url, port, path) if path and url.scheme in PORTS else _connected(url.hostname, port)
    except OSError as error:
        return (error.strerror or str(error) or type(error).__name__).lower()


def _connected(host: str, port: int) -> str:
    with socket.create_connection((host, port), SECONDS):
        return ""


def _asked(url: SplitResult, port: int, path: str) -> str:
    import http.client

    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(url.hostname), port, timeout=SECONDS)
    try:
        connection.request("GET", url.path.rstrip("/") + path)
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        return f"no HTTP answer: {error!r}"
    finally:
        connection.close()
    return "" if status < 400 else f"HTTP status {status} for {path}"


def _how_to_start(service: Service, machine: Machine) -> str:
    start = f"start it: {service.start}" if service.start else "start it"
    where = f", or set {service.variable} to where it runs" if service.variable else ""
    get = choose_way(service.get, machine.package_manager)
    return f"{start}{where}" + (f"; get it: {get}" if get else "")


def _without_gpu(target: str, machine: Machine) -> Problem | None:
    """Return the problem of a machine whose driver names no GPU (nvidia-smi --list-gpus)."""
    program = machine.which("nvidia-smi")
    if not program:
        return Problem(f"{target} needs an NVIDIA GPU, and nvidia-smi is not on PATH", "run it on a machine with a GPU")
    done = processes.answer([program, "--list-gpus"], machine.environ, 20)
    if not done.started or not done.in_time:
        what = f"{target} needs an NVIDIA GPU, and {program} did not answer: {done.err.strip()}"
        return Problem(what, "repair the driver")
    if done.ok and done.out.strip():
        return None
    said = (done.out + done.err).strip().splitlines()
    what = f"{target} needs an NVIDIA GPU, and nvidia-smi names none: {said[0] if said else 'it said nothing'}"
    return Problem(what, "run it on a machine with a GPU")
