"""Pictures that are in a data set more than once, and the groups of subjects that share them.

Three kinds of pairs are told apart:

identical   the files' bytes are equal
near        one picture, re-encoded, resized, shifted or mirrored
same-cell   one cell photographed twice, as where two fields of view overlap (a strongly compressed copy looks alike)

The second picture of an identical or near pair is a copy (`duplicate_of`). All three join their subjects into one
group: a split that has one picture of a cell to train on and another to test on leaks, whichever ids they carry.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from leukoscope.core.progress import progress
from leukoscope.data.quality.likeness import UNLIKE, Candidates, Likeness, candidates, compare
from leukoscope.imaging.cell import find_cell

SET_ORDER = ("train", "prelim", "final")
KINDS = {
    "identical": "the files' bytes are equal",
    "near": "one picture, re-encoded, resized, shifted or mirrored",
    "same-cell": "one cell in two photographs",
}
PAIR_COLUMNS = ["first", "second", "kind", "correlation", "distance"]

# Measured on the 3,527 distinct images of C-NMC 2019's fold 0, 462 pairs of which show one cell twice, and on 200 of
# them re-encoded, resized, shifted and turned.
SAME_DETAIL = 0.62  # correlation of fine detail: different cells reach 0.5, pictures of one cell have 0.7 and more
SAME_PIXELS = 0.82  # grey levels: above re-encoding and resizing, below what the camera's noise adds in a second photo
TURNED_PIXELS = 1.3  # a microscope neither mirrors nor rescales: such pictures were processed, and may be JPEG too
SAME_SCALE = 0.04
SAME_LIGHT = 16  # grey levels: two photographs of a cell differ by 11 at most
RESOLVED = 64  # pixels of a cell's box: below, too little detail is left to tell one cell from another

Reader = Callable[[str], np.ndarray]


def find_duplicates(images: pd.DataFrame, read: Reader) -> pd.DataFrame:
    """The pairs of pictures that show the same, as columns first, second (image_id), kind, correlation and distance.

    `images` is build_manifest's, `read` gives the RGB picture of a `file` and is called for likely pairs alone. An
    identical or near pair names the first copy and each later one (sets in the order train, prelim, final, then by
    image_id); a same-cell pair names first copies. `distance` is in grey levels. Sorted by kind, first and second.
    """
    ordered = _in_order(images)
    first_bytes = ordered.groupby("sha256", sort=False)["image_id"].transform("first")
    distinct = ordered[(first_bytes == ordered["image_id"]) & (ordered["cell_area"] > 0)].reset_index(drop=True)
    links = _links(distinct, read)
    near = links[links["kind"] == "near"]
    copies = _copies(ordered["image_id"], first_bytes, near)
    first_copy = dict(zip(copies["second"], copies["first"], strict=True))
    cells = links[links["kind"] == "same-cell"].copy()
    for column in ("first", "second"):
        cells[column] = cells[column].map(lambda image_id: first_copy.get(image_id, image_id))
    rank = {image_id: position for position, image_id in enumerate(ordered["image_id"])}
    swapped = cells["first"].map(rank) > cells["second"].map(rank)
    cells.loc[swapped, ["first", "second"]] = cells.loc[swapped, ["second", "first"]].to_numpy()
    cells = cells[cells["first"] != cells["second"]].sort_values("correlation", ascending=False)
    cells = cells.drop_duplicates(["first", "second"])
    pairs = pd.concat([copies, cells], ignore_index=True).astype({"correlation": float, "distance": float})
    return pairs.sort_values(["kind", "first", "second"], ignore_index=True)[PAIR_COLUMNS]


def assign_groups(images: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """`images` with the columns `group` and `duplicate_of`.

    A group is the subjects that are connected by pairs of any kind, named by their ids joined with '+' ('20+21'); an
    image without a subject has none, but can connect those of others.
    """
    copies = pairs[pairs["kind"] != "same-cell"]
    first_copy = dict(zip(copies["second"], copies["first"], strict=True))
    subjects = [None if pd.isna(subject) else f"subject {subject}" for subject in images["subject"]]
    owned = ((image, subject) for image, subject in zip(images["image_id"], subjects, strict=True) if subject)
    component = _components([*owned, *zip(pairs["first"], pairs["second"], strict=True)])
    members: dict[int, set[str]] = {}
    for subject in filter(None, subjects):
        members.setdefault(component[subject], set()).add(subject.removeprefix("subject "))
    names = {number: "+".join(sorted(group, key=_natural)) for number, group in members.items()}
    return images.assign(
        group=pd.Series([names[component[s]] if s else None for s in subjects], images.index, dtype=object),
        duplicate_of=pd.Series([first_copy.get(i) for i in images["image_id"]], images.index, dtype=object),
    )


def classify(likeness: Likeness, turn: int) -> str | None:
    """`near`, `same-cell`, or None for pictures of two cells."""
    if likeness.correlation < SAME_DETAIL:
        return None
    if likeness.distance <= SAME_PIXELS:
        return "near"
    if turn or abs(likeness.scale - 1) > SAME_SCALE:
        return "near" if likeness.distance <= TURNED_PIXELS else None
    return "same-cell" if likeness.side >= RESOLVED and likeness.distance <= SAME_LIGHT else None


def _in_order(images: pd.DataFrame) -> pd.DataFrame:
    rank = images["set"].map({name: position for position, name in enumerate(SET_ORDER)})
    return images.assign(rank=rank).sort_values(["rank", "image_id"], ignore_index=True)


def _links(distinct: pd.DataFrame, read: Reader) -> pd.DataFrame:
    """The candidates that their pixels confirm, each pair under its best turn."""
    if len(distinct) < 2:
        return pd.DataFrame(columns=PAIR_COLUMNS)
    likely = candidates(list(distinct["phash"]), np.stack(list(distinct["portrait"])))
    names, rows = distinct["image_id"].to_numpy(), []
    with progress("duplicates", len(likely.first), "likely pairs") as advance:
        for (first, second, turn), likeness in _compared(likely, list(distinct["file"]), read):
            if kind := classify(likeness, turn):
                rows.append((names[first], names[second], kind, likeness.correlation, likeness.distance))
            advance(1)
    links = pd.DataFrame(rows, columns=PAIR_COLUMNS).sort_values("distance", kind="stable")
    return links.drop_duplicates(["first", "second"])


def _compared(likely: Candidates, files: list[str], read: Reader) -> Iterator[tuple[tuple[int, int, int], Likeness]]:
    def likeness(first: int, second: int, turn: int) -> Likeness:
        cells = [find_cell(read(files[position])) for position in (first, second)]
        return compare(cells[0], cells[1], turn) if cells[0] and cells[1] else UNLIKE

    triples = [(int(a), int(b), int(t)) for a, b, t in zip(*likely, strict=True)]
    workers = os.cpu_count() or 1
    running: deque[tuple[tuple[int, int, int], Future[Likeness]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for triple in triples:
            running.append((triple, pool.submit(likeness, *triple)))
            if len(running) > 8 * workers:
                key, future = running.popleft()
                yield key, future.result()
        yield from ((key, future.result()) for key, future in running)


def _copies(image_ids: pd.Series, first_bytes: pd.Series, near: pd.DataFrame) -> pd.DataFrame:
    """Each later copy beside the first one of its cluster of identical and near pictures, in the images' order."""
    bytes_of = dict(zip(image_ids, first_bytes, strict=True))
    component = _components([*bytes_of.items(), *zip(near["first"], near["second"], strict=True)])
    best: dict[str, tuple[float, float]] = {}  # an image's strongest link to another picture
    for first, second, _, correlation, distance in near.itertuples(index=False, name=None):
        for image_id in (first, second):
            best.setdefault(image_id, (correlation, distance))
    first_of: dict[int, str] = {}
    rows = []
    for image_id in image_ids:
        first = first_of.setdefault(component[image_id], image_id)
        if bytes_of[image_id] == bytes_of[first] != image_id:
            rows.append((first, image_id, "identical", 1.0, 0.0))
        elif first != image_id:
            rows.append((first, image_id, "near", *best[bytes_of[image_id]]))
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def _components(links: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The number of each name's connected component."""
    pairs = list(links)
    number = {name: position for position, name in enumerate(dict.fromkeys(name for pair in pairs for name in pair))}
    ends = np.array([[number[a], number[b]] for a, b in pairs], int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(number), len(number)))
    _, labels = connected_components(graph, directed=False)
    return {name: int(labels[position]) for name, position in number.items()}


def _natural(subject: str) -> list[tuple[int, int, str]]:
    """Sorts 9 before 10, and H9 before H10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", subject)]
