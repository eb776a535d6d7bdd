"""How much one client may ask for, and how long the server waits for it."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1_000_000
# An envelope of multipart/form-data beside the pictures: for each part a boundary, a name and three headers.
ENVELOPE = 1000


@dataclass(frozen=True)
class Limits:
    """Sizes in MB of 1,000,000 bytes, times in seconds."""

    images: int = 256  # pictures of one request
    image_mb: float = 8  # of one picture's file: C-NMC's have 0.6
    image_megapixels: float = 4  # that it decodes to: C-NMC's have 0.2
    upload_mb: float = 200  # of one request
    memory_mb: float = 1000  # of all requests' uploads and decoded pictures, until they are scored
    connections: int = 200  # open at once, idle ones included
    stall_seconds: float = 10  # for a request's line and headers, and between two pieces of its body
    upload_seconds: float = 120  # for the whole body
    answer_seconds: float = 120  # for the scores, once the body is here
    heat_map_seconds: float = 300  # for one heat map, TensorFlow's start included
    shutdown_seconds: float = 10  # for running requests when the server is told to end

    @property
    def image_bytes(self) -> int:
        """Of one picture's file."""
        return int(self.image_mb * MEGABYTE)

    @property
    def send_seconds(self) -> float:
        """For the client to take its answer, which is small."""
        return 6 * self.stall_seconds

    @property
    def upload_bytes(self) -> int:
        """Of one request's body."""
        return int(self.upload_mb * MEGABYTE) + self.images * ENVELOPE
