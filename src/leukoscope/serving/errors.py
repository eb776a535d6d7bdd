"""What a client did, or asked for at a bad moment: a status and one sentence."""

from __future__ import annotations

from leukoscope.core.errors import LeukoscopeError


class RequestError(LeukoscopeError):
    """A request that is not answered. `status` is HTTP's; the message is a sentence for the person who sent it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BusyError(RequestError):
    """The server has too much to do: the same request may succeed in a moment."""

    def __init__(self, message: str) -> None:
        super().__init__(503, message)
