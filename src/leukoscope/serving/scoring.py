"""From uploads to scores: decoding on all cores, the model in batches with other requests' pictures."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from leukoscope.imaging.reading import decode
from leukoscope.prediction.pictures import Picture
from leukoscope.prediction.scoring import Prepared, Score, concluded, prepare
from leukoscope.registry.champion import Champion
from leukoscope.serving.answers import Unreadable
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
            Unreadable(position=position, file=uploads[position].name, reason=str(one))
            for position, one in enumerate(read)
            if isinstance(one, ValueError)
        ]
        return scores, bad

    async def prepared(self, upload: Upload, loaded: Loaded) -> Prepared:
        """One picture, framed. Raises ValueError with the bare reason where it does not read."""
        read = await self._read(upload, loaded.champion)
        if isinstance(read, ValueError):
            raise read
        return read

    async def _read(self, upload: Upload, champion: Champion) -> Prepared | ValueError:
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, read_upload, upload, champion, self._limits
        )

    def close(self) -> None:
        """Let the threads end."""
        self._readers.shutdown(wait=False, cancel_futures=True)


def read_upload(upload: Upload, champion: Champion, limits: Limits) -> Prepared | ValueError:
    """A picture as the model takes it, or the reason why it does not read."""
    if too_large(upload, limits):
        return ValueError(f"more than {limits.image_mb:g} MB, which no picture of a cell needs")
    try:
        pixels = decode(upload.data, int(limits.image_megapixels * MEGABYTE))
    except ValueError as reason:
        return reason
    return prepare(Picture(upload.name, pixels, hashlib.sha256(upload.data).hexdigest()), champion)
