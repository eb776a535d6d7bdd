"""The model that answers: a version that was named, or whichever is champion now."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from leukoscope.core.errors import LeukoscopeError
from leukoscope.registry import loading, versions
from leukoscope.registry.champion import Champion
from leukoscope.serving.batching import Batcher

log = logging.getLogger("leukoscope.serving")

AT_ONCE = 32  # pictures of one batch: some passes of the model on each core


@dataclass(frozen=True)
class Loaded:
    """A version in memory, with the batches of its own: a request keeps the version that it began with."""

    champion: Champion
    at_once: int = AT_ONCE

    @property
    def framed_bytes(self) -> int:
        """Of a picture as the model takes it."""
        return 3 * self.champion.frame**2

    @cached_property
    def batcher(self) -> Batcher[np.ndarray, float]:
        """Framed pictures uint8 [frame, frame, 3] to p(ALL)."""

        def p_all(framed: list[np.ndarray]) -> Sequence[float]:
            return list(self.champion.model.p_all(framed))

        return Batcher(p_all, self.at_once)


class Live:
    """The version of now. Where none was named, another champion replaces it while the server runs."""

    def __init__(self, data_name: str, version: int | None) -> None:
        """Loads the version, or the champion, of the data set's model. Raises RegistryError where there is none."""
        self.data_name = data_name
        self.pinned = version is not None
        self.problem: str | None = None  # why the champion of now does not answer
        self.current = self._load(version)

    def _load(self, version: int | str | None) -> Loaded:
        return Loaded(loading.load_champion(self.data_name, version))

    @contextlib.asynccontextmanager
    async def followed(self, seconds: float) -> AsyncIterator[None]:
        """Look for another champion every `seconds` while the block runs, unless a version was named."""
        following = None if self.pinned else asyncio.create_task(self._follow(seconds))
        try:
            yield
        finally:
            if following is not None:
                following.cancel()

    async def _follow(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.refresh)

    def refresh(self) -> None:
        """Load the champion of now where it is another one. What keeps it from answering is `problem`, not an error."""
        try:
            now = versions.champion(self.data_name).version
            if now == self.current.champion.version:
                self.problem = None
                return
            replacement = self._load(now)
        except LeukoscopeError as error:
            self._tell(" ".join(str(error).split()))
            return
        except Exception as error:  # the model that answers goes on answering, whatever another one's files hold
            self._tell(f"the champion could not be loaded ({type(error).__name__}): leukoscope predict shows more")
            return
        log.info("version %s answers from now on, version %s did before", now, self.current.champion.version)
        self.current, self.problem = replacement, None

    def _tell(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("version %s goes on answering: %s", self.current.champion.version, problem)
        self.problem = problem
