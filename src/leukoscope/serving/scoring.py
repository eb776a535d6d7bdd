"""From uploads to scores: decoding on all cores, the model in batches with other requests' pictures."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from leukoscope.core.errors import DataError
from leukoscope.imaging.reading import PictureError
from leukoscope.prediction.scoring import Prepared, Score, concluded, read_and_prepare
from leukoscope.registry.champion import Champion, Version
from leukoscope.serving.answers import Unreadable
from leukoscope.serving.errors import RequestError
from leukoscope.serving.limits import MEGABYTE, Limits
from leukoscope.serving.live import Loaded
from leukoscope.serving.uploads import Upload, too_large


class Scoring:
    """Reads pictures and scores them; use it from one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._readers = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="readers")

    async def scores(
        self, uploads: Sequence[Upload], loaded: Loaded
    ) -> tuple[list[tuple[int, Score]], list[Unreadable]]:
        """The answer for each picture that reads, with its position, and what does not read, both in their order."""
        read = await asyncio.gather(*(self._read(upload, loaded.champion) for upload in uploads))
        good = [(position, one) for position, one in enumerate(read) if isinstance(one, Prepared)]
        p_all = await loaded.batcher.answers([one.framed for _, one in good])
        scores = [
            (position, concluded(one, p, loaded.champion)) for (position, one), p in zip(good, p_all, strict=True)
        ]
        bad = [
            Unreadable(position=position, file=uploads[position].name, reason=_reason(one))
            for position, one in enumerate(read)
            if isinstance(one, DataError)
        ]
        return scores, bad

    async def prepared(self, upload: Upload, loaded: Loaded) -> Prepared:
        """One picture, ready for the model. Raises RequestError (422) where it does not read."""
        read = await self._read(upload, loaded.champion)
        if isinstance(read, DataError):
            raise RequestError(422, f"{upload.name}: {_reason(read)}")
        return read

    async def _read(self, upload: Upload, champion: Champion) -> Prepared | DataError:
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, read_upload, upload, champion, self._limits
        )

    def close(self) -> None:
        """Let the threads end."""
        self._readers.shutdown(wait=False, cancel_futures=True)


def read_upload(upload: Upload, version: Version, limits: Limits) -> Prepared | DataError:
    """A picture, ready for the model, or the error that says why it does not read or is over a limit."""
    if too_large(upload, limits):
        return PictureError(upload.name, f"more than {limits.image_mb:g} MB, which no picture of a cell needs")
    return read_and_prepare(upload, version, max_pixels=int(limits.image_megapixels * MEGABYTE))


def _reason(error: DataError) -> str:
    """Why a picture does not read, without its name: an answer has that in a field of its own."""
    return error.reason if isinstance(error, PictureError) else str(error)
