"""Python runs this as it starts where this folder is on PYTHONPATH: connections are noted, and outward ones refused.

A line of CONNECTIONS_LOG is a call, its address and the process's command line, with tabs between them. The refusal
makes the outcome the same with and without a network.
"""

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

NAME_SERVER = 53  # a name server on this machine passes questions on


def is_outward(address: str) -> bool:
    """Whether a noted address, or a name that is looked up, is another machine's."""
    host, _, port = address.rpartition(":")
    if address in ("", "unix") or host == "localhost":
        return False
    try:
        number = ipaddress.ip_address(host.removeprefix("::ffff:"))  # an IPv4 address on an IPv6 socket
    except ValueError:
        return True
    asks_nobody = port == ""  # a look-up of a number needs no name server
    return not (asks_nobody or number.is_unspecified or (number.is_loopback and port != str(NAME_SERVER)))


def _address(family: int, address: Any) -> str:
    if family not in (socket.AF_INET, socket.AF_INET6):
        return "unix" if family == socket.AF_UNIX else f"family {int(family)}:"
    return f"{address[0]}:{address[1]}"


def _note(call: str, address: str = "") -> None:
    command = " ".join(" ".join(sys.orig_argv).split())
    with Path(os.environ["CONNECTIONS_LOG"]).open("a") as log:
        log.write(f"{call}\t{address}\t{command}\n")


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    call = event.removeprefix("socket.")
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0] or "localhost"  # None and "" are this machine
        address = f"{host.decode() if isinstance(host, bytes) else host}:"
        _note(call, address)
        if is_outward(address):
            raise socket.gaierror(socket.EAI_NONAME, f"the test refuses to look {host} up")
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and arguments[1] is not None:
        address = _address(arguments[0].family, arguments[1])
        _note(call, address)
        if is_outward(address):
            raise ConnectionRefusedError(f"the test refuses a connection to {address}")


if "CONNECTIONS_LOG" in os.environ:
    _note("start")
    sys.addaudithook(_watch)
