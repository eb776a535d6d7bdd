"""Image files made ready for the model on all cores, some of them ahead of it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from leukoscope.data.reading import read_bytes
from leukoscope.errors import DataError
from leukoscope.prediction.champion import Version
from leukoscope.prediction.pictures import decoded
from leukoscope.prediction.scoring import Prepared, prepare
from leukoscope.prediction.sources import ImageFile

READ_AHEAD = 16  # pictures for each core


def prepared_ahead(
    files: Sequence[ImageFile], champion: Version, *, scale: float = 1.0
) -> Iterator[Prepared | DataError]:
    """What `prepare` makes of each file, or why it does not read, in order; memory holds some pictures a core."""

    def read(file: ImageFile) -> Prepared | DataError:
        try:
            return prepare(decoded(read_bytes(file.path), file.name), champion, scale=scale)
        except DataError as error:
            return error

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        left = iter(files)
        ahead = deque(pool.submit(read, file) for file in islice(left, READ_AHEAD * cores))
        while ahead:
            yield ahead.popleft().result()
            ahead.extend(pool.submit(read, file) for file in islice(left, 1))
