"""Addresses: which connections a run made to servers that are none of its own."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Set

from doit_cargo.engine.execution.observe.model import Op, Process


def foreign(process: Process, serving: Set[str]) -> Iterator[str]:
    """Yield what a process did on the network that no file tells: "connects to 127.0.0.1:5432"."""
    ports = {tuple(address.split()[::2]) for address in serving if address[0] in "46"}
    for event in process.events:
        if event.op is Op.CONNECT and not _is_own(event.subject, serving, ports):
            yield f"connects to {readable(event.subject)}"
        elif event.op is Op.LOOKUP and not _is_local(event.subject):
            yield f"looks up the address of {event.subject}"


def _is_own(address: str, serving: Set[str], ports: Set[tuple[str, ...]]) -> bool:
    """A server of the run itself: the same address, or its port on this machine, served on every address."""
    if address in serving:
        return True
    kind, host, *port = address.split(" ")
    if kind == "unix" or not port:
        return False
    at = ipaddress.ip_address(bytes.fromhex(host))
    mapped = getattr(at, "ipv4_mapped", None)
    if not (at.is_loopback or at.is_unspecified or (mapped and mapped.is_loopback)):
        return port[0] == "0000"  # how a program asks which way a packet would take: nothing is sent
    return any((family, port[0]) in ports for family in "46")


def readable(address: str) -> str:
    """Return an address as people write it."""
    kind, host, *port = address.split(" ")
    if kind == "unix" or not port:
        return address.removeprefix("unix ")
    at = ipaddress.ip_address(bytes.fromhex(host))
    return f"{at}:{int(port[0], 16)}" if kind == "4" else f"[{at}]:{int(port[0], 16)}"


def _is_local(host: str) -> bool:
    if host in ("localhost", "localhost.localdomain", "ip6-localhost", ""):
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
