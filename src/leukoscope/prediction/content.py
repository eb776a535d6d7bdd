"""What a picture shows that is not one cell on black. Such a picture is flagged and not called.

On C-NMC's fold 0 (3,527 cells) 0.3 % touch the edge and no other flag of these is raised: each has one piece, black
around it, and at least 82 % of it inside a frame of 300 pixels.
"""

from __future__ import annotations

import numpy as np

from leukoscope.imaging.cell import BACKGROUND, Cell, find_cell, lit_part

NO_CELL, SEVERAL, EDGE, LIT, CUT = "no-cell", "several-cells", "touches-edge", "background", "outside-frame"
MEANINGS = {
    NO_CELL: "nothing is brighter than the background",
    SEVERAL: "more than one sizeable piece",
    EDGE: "what is shown reaches the picture's edge, so it may be cut off",
    LIT: "the background is not black: the cell must be cut out first",
    CUT: "over a fifth of the cell lies outside the centre that the model sees",
}
MOSTLY_LIT = 0.5  # of the pixels along the picture's edge
LEAST_INSIDE = 0.8  # of the cell's area


def content_flags(pixels: np.ndarray, cell: Cell | None, framed: np.ndarray) -> tuple[str, ...]:
    """The flags of a picture uint8 [height, width, 3], whose cell is `cell` and whose framed centre is `framed`."""
    if cell is None:
        return (NO_CELL,)
    edge = _edge(pixels).max(axis=1)
    lit = float((edge > 0).mean()) > MOSTLY_LIT
    found = {
        SEVERAL: cell.pieces > 1,
        EDGE: not lit and bool((edge > BACKGROUND).any()),
        LIT: lit,
        CUT: _inside(pixels, cell, framed) < LEAST_INSIDE,
    }
    return tuple(flag for flag, raised in found.items() if raised)


def _edge(pixels: np.ndarray) -> np.ndarray:
    """The pixels [n, 3] along the four sides."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _inside(pixels: np.ndarray, cell: Cell, framed: np.ndarray) -> float:
    """The share of the cell's area that is in the framed centre."""
    if lit_part(framed).shape == lit_part(pixels).shape:  # nothing lit is beyond the frame: a box would be smaller
        return 1.0
    kept = find_cell(framed)
    return kept.area / cell.area if kept else 0.0
