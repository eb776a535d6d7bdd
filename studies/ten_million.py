"""What 10 million cells would cost, computed from what `studies.scale` measures: docs/scale.md's tables.

Nothing here was measured at that size. What is neither measured nor plain arithmetic is an assumption, named so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median

CELLS = 10_000_000
MACHINES = (8, 64)
CORES = 16  # of a machine: assumed
FILE_BYTES = 450 * 1352 + 54  # a C-NMC picture: 450 rows of 450 pixels, which BMP fills up to 1,352 bytes, and a header
NETWORK = 1.25e9  # bytes a second into each machine, 10 Gbit/s: assumed
LISTED = 1_000  # names in an answer of S3's to a listing
LISTING = 0.1  # seconds for each of those answers, which come one after another: assumed
GETS = 5_500  # a second that S3 documents for one prefix


@dataclass(frozen=True)
class Paces:
    """How many of a unit a second, in rounds, with one worker and with two."""

    unit: str
    of_one: list[float]
    of_two: list[float]

    @property
    def ratio(self) -> float:
        """The median of the rounds' own."""
        return median(two / one for one, two in zip(self.of_one, self.of_two, strict=True))


@dataclass(frozen=True)
class Shards:
    """Of a prediction of so many shards: processor seconds of the driver and of Ray's own processes, and wall ones.

    `head` are gcs_server and the head's raylet.
    """

    shards: int
    driver: float
    head: float
    seconds: float


@dataclass(frozen=True)
class Memory:
    """Of a prediction of so many images: peaks in MB, and the processor seconds of all of Ray's workers.

    `ray` is the anonymous memory of all of Ray's processes at once, `store` what its object stores hold.
    """

    images: int
    driver: float
    ray: float
    store: float
    workers: float


@dataclass(frozen=True)
class Plan:
    """Bytes for each image that a prediction's plan takes: in the driver, and pickled in the head's object store.

    `vector` is what the driver of `embed` keeps for each vector: what is shown, its key, and its place in the memory.
    """

    driver: float
    store: float
    vector: float


@dataclass(frozen=True)
class Figures:
    """All that is measured.

    `cores` is what plain arithmetic does on one core and on both: more than that no worker can bring. `transactions`
    are a trial's in each study, `connections` the most that a study's database had at once.
    """

    cores: Paces
    embed: Paces
    tune: Paces
    transactions: list[float]
    connections: int
    shards: list[Shards]
    memory: list[Memory]
    plan: Plan

    @property
    def pace(self) -> float:
        """Passes a second of one worker; that more of them keep it is assumed."""
        return median(self.embed.of_one)

    @property
    def reading(self) -> float:
        """Processor seconds of a picture but for the pass: fetched, decoded, framed, looked at, written."""
        first, last = self.memory[0], self.memory[-1]
        return (last.workers - first.workers) / (last.images - first.images)

    @property
    def driver(self) -> float:
        """The driver's processor seconds of a shard more, where there are most."""
        before, last = self.shards[-2:]
        return (last.driver - before.driver) / (last.shards - before.shards)

    @property
    def head(self) -> float:
        """The same of Ray's own processes on the head."""
        before, last = self.shards[-2:]
        return (last.head - before.head) / (last.shards - before.shards)


@dataclass(frozen=True)
class Layout:
    """How cells are stored: how many objects there are, and how many make a shard."""

    name: str
    of_an_object: int
    of_a_shard: int

    @property
    def objects(self) -> int:
        """That are listed and fetched."""
        return -(-CELLS // self.of_an_object)

    @property
    def shards(self) -> int:
        """That are scheduled, each one file of scores."""
        return -(-CELLS // self.of_a_shard)


LAYOUTS = (
    Layout("single files, 256 to a shard", 1, 256),
    Layout("archives of 256", 256, 256),
    Layout("archives of 2,048", 2048, 2048),
)


@dataclass(frozen=True)
class Part:
    """A part of the work: how its seconds come about, and what they are."""

    name: str
    arithmetic: str
    seconds: float


def spread(figures: Figures, machines: int) -> list[Part]:
    """What machines divide among them."""
    cores = CORES * machines
    bytes_in_all = CELLS * FILE_BYTES
    return [
        Part("passes", f"{CELLS:,} / ({figures.pace:.0f}/s x {cores:,} cores)", CELLS / figures.pace / cores),
        Part(
            "reading, decoding, framing, writing",
            f"{CELLS:,} x {1000 * figures.reading:.1f} ms / {cores:,} cores",
            CELLS * figures.reading / cores,
        ),
        Part(
            "bytes through the network",
            f"{bytes_in_all / 1e12:.2f} TB / ({NETWORK / 1e9:g} GB/s x {machines})",
            bytes_in_all / NETWORK / machines,
        ),
    ]


def in_one_place(figures: Figures, layout: Layout) -> list[Part]:
    """What stays as long however many machines there are."""
    answers = -(-layout.objects // LISTED)
    return [
        Part("listing, before all else", f"{answers:,} x {LISTING:g} s", answers * LISTING),
        Part("the driver", f"{layout.shards:,} x {1000 * figures.driver:.1f} ms", layout.shards * figures.driver),
        Part("Ray's head", f"{layout.shards:,} x {1000 * figures.head:.1f} ms", layout.shards * figures.head),
        Part("GETs of one prefix", f"{layout.objects:,} / {GETS:,}/s", layout.objects / GETS),
    ]


def bound(figures: Figures, layout: Layout, machines: int) -> tuple[float, str]:
    """Seconds from the first name to the last score, and the part that makes them.

    The listing comes first; then all else goes on at once, and whatever takes longest is what one waits for. Passes and
    reading share the cores, so their seconds add up.
    """
    passes, reading, network = spread(figures, machines)
    listing, *others = in_one_place(figures, layout)
    cores = Part("the cores", "", passes.seconds + reading.seconds)
    longest = max((cores, network, *others), key=lambda part: part.seconds)
    bending = longest if longest.seconds > listing.seconds else listing
    return listing.seconds + longest.seconds, bending.name


def in_words(seconds: float) -> str:
    """Seconds, or minutes above ten of them."""
    return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def tables(figures: Figures) -> str:
    """Everything as Markdown: what was measured, then what 10 million cells would take."""
    return "\n\n".join(
        (_paces(figures), _shards(figures), _memory(figures), _spread(figures), _fixed(figures), _ends(figures))
    )


def _table(head: list[str], *rows: list[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _paces(figures: Figures) -> str:
    rows = []
    for name, paces in (("the cores alone", figures.cores), ("embed", figures.embed), ("tune", figures.tune)):
        one, two = (", ".join(f"{pace:.3g}" for pace in of) for of in (paces.of_one, paces.of_two))
        rows.append([name, f"{one} {paces.unit}/s", f"{two} {paces.unit}/s", f"{paces.ratio:.2f}"])
    return _table(["what", "one worker or core", "two", "ratio"], *rows)


def _shards(figures: Figures) -> str:
    more = ["", *(_more(a.shards, a.driver, b.shards, b.driver) for a, b in pairwise(figures.shards))]
    of_head = ["", *(_more(a.shards, a.head, b.shards, b.head) for a, b in pairwise(figures.shards))]
    rows = [
        [f"{one.shards:,}", f"{one.driver:.1f} s", driver, f"{one.head:.1f} s", head, f"{one.seconds:.1f} s"]
        for one, driver, head in zip(figures.shards, more, of_head, strict=True)
    ]
    return _table(["shards", "driver", "a shard more", "Ray's head", "a shard more", "by the clock"], *rows)


def _more(before: int, cost_before: float, after: int, cost: float) -> str:
    return f"{1000 * (cost - cost_before) / (after - before):.1f} ms"


def _memory(figures: Figures) -> str:
    rows = [
        [f"{one.images:,}", f"{one.driver:.0f} MB", f"{one.ray:.0f} MB", f"{one.store:.0f} MB", f"{one.workers:.1f} s"]
        for one in figures.memory
    ]
    head = ["images", "driver", "all of Ray's processes", "its object stores", "the workers' processor seconds"]
    return _table(head, *rows)


def _spread(figures: Figures) -> str:
    of_all = [spread(figures, machines) for machines in MACHINES]
    rows = [
        [parts[0].name, *(f"{one.arithmetic} = {in_words(one.seconds)}" for one in parts)]
        for parts in zip(*of_all, strict=True)
    ]
    return _table(["divided by machines", *(f"{machines} machines" for machines in MACHINES)], *rows)


def _fixed(figures: Figures) -> str:
    of_all = [in_one_place(figures, layout) for layout in LAYOUTS]
    rows = [
        [parts[0].name, *(f"{one.arithmetic} = {in_words(one.seconds)}" for one in parts)]
        for parts in zip(*of_all, strict=True)
    ]
    driver = ["the plan in the driver", *(_gigabytes(layout, figures.plan.driver) for layout in LAYOUTS)]
    store = ["the plan in the head's object store", *(_gigabytes(layout, figures.plan.store) for layout in LAYOUTS)]
    return _table(["in one place", *(layout.name for layout in LAYOUTS)], *rows, driver, store)


def _gigabytes(layout: Layout, of_an_object: float) -> str:
    return f"{layout.objects:,} x {of_an_object:.0f} B = {layout.objects * of_an_object / 1e9:.3g} GB"


def _ends(figures: Figures) -> str:
    rows = []
    for layout in LAYOUTS:
        ends = [bound(figures, layout, machines) for machines in MACHINES]
        rows.append([layout.name, *(f"{in_words(seconds)}: {part}" for seconds, part in ends)])
    return _table(["from the first name to the last score", *(f"{machines} machines" for machines in MACHINES)], *rows)
