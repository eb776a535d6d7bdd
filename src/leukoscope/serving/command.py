"""`leukoscope serve`: load the model, take the address, answer until told to stop."""

from __future__ import annotations

from collections.abc import Callable

from leukoscope.registry.notices import warning
from leukoscope.serving.app import application
from leukoscope.serving.limits import Limits
from leukoscope.serving.live import Live
from leukoscope.serving.server import LOOPBACK, address, bound, serve

OPEN_TO_ALL = (
    "whoever reaches this machine may use it: it asks for no password, and what is sent to it is not encrypted"
)


def serve_command(
    data_name: str, version: int | None, host: str, port: int, limits: Limits, say: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C or SIGTERM. `say` is told the address once it answers.

    Raises RegistryError where there is no such model, and UserError where the address cannot be had.
    """
    with bound(host, port) as opened:
        live = Live(data_name, version)

        def ready() -> None:
            say(f"leukoscope: {address(opened, host)} (Ctrl-C ends it)")
            if host not in LOOPBACK:
                say(OPEN_TO_ALL)
            say(warning(live.current.champion))

        serve(application(live, limits), opened, limits, ready)
    say("stopped")
