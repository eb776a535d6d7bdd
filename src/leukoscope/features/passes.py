"""The passes that a row's features are made of: one for each backbone, and one for its statistics of the cell.

A pass is a model over framed pixels that every picture is run through once. Its vectors are remembered by what they
depend on, so that rows share what they have in common. A row's columns are its passes' in the order of `passes_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from leukoscope.artifacts.layers import LayerFacts
from leukoscope.config.rows import Branch, ModelSettings
from leukoscope.features.architecture import POOLED_BY, at_scale, unweighted
from leukoscope.features.backbones import build_backbone, weights_identity
from leukoscope.features.cell_statistics import statistics_model
from leukoscope.features.engine import converted_backbone, converted_layers, converted_statistics, map_channels, pooled
from leukoscope.features.keras_loading import load_keras
from leukoscope.features.pooling import poolings_beside

if TYPE_CHECKING:
    import keras


class Pass(Protocol):
    """One model over all pictures."""

    @property
    def name(self) -> str:
        """What the model is, in a word."""

    @property
    def kind(self) -> dict[str, Any]:
        """What its vectors depend on, beside the picture: the name of its memory."""

    def converted(self, folder: Path) -> Path:
        """The model as OpenVINO's IR in `folder`, converted when it is not there yet."""

    def model(self) -> keras.Model:
        """The same model on Keras."""

    def columns(self, width: int) -> slice:
        """The columns that the row reads of the pass's vectors of `width` numbers."""

    def layers(self, converted: Path, columns: int) -> list[LayerFacts]:
        """What the model consists of, up to the row's `columns`."""

    def maps(self, converted: Path) -> list[int]:
        """The channels of each map that it pools."""


@dataclass(frozen=True)
class BackbonePass:
    """A backbone of the row; its memory holds all poolings that cost nothing beside the row's own."""

    row: ModelSettings
    branch: Branch

    @property
    def name(self) -> str:
        """The backbone's, and its scale."""
        return at_scale(self.branch.backbone, self.branch.shrink)

    @property
    def kind(self) -> dict[str, Any]:
        """The weights, the frame and the size, and what else is not the last map of the framed picture."""
        row, branch = self.row, self.branch
        identity = weights_identity(branch.backbone, branch.weights, branch.side(row.size))
        poolings = poolings_beside(row.pooling)
        names = {"taps": list(branch.taps), "poolings": poolings, "colours": row.colours, "shrink": branch.shrink}
        usual = {"taps": [], "poolings": poolings_beside("max"), "colours": "raw", "shrink": 1}
        unusual = {name: value for name, value in names.items() if value != usual[name]}
        return {"weights": identity, "frame": row.frame, "size": row.size, **unusual}

    def converted(self, folder: Path) -> Path:
        """The backbone with its poolings."""
        row, branch = self.row, self.branch
        return converted_backbone(
            branch.backbone,
            branch.weights,
            row.frame,
            row.size,
            folder,
            taps=branch.taps,
            pooling=row.pooling,
            colours=row.colours,
            shrink=branch.shrink,
        )

    def model(self) -> keras.Model:
        """The backbone with its poolings."""
        row, branch = self.row, self.branch
        backbone = build_backbone(branch.backbone, branch.weights, row.frame, branch.side(row.size), branch.taps)
        return pooled(backbone, row.pooling, row.colours, branch.shrink)

    def columns(self, width: int) -> slice:
        """Those of the row's pooling."""
        poolings = poolings_beside(self.row.pooling)
        own = width // len(poolings)
        first = poolings.index(self.row.pooling) * own
        return slice(first, first + own)

    def layers(self, converted: Path, columns: int) -> list[LayerFacts]:
        """What shrinks the picture, the backbone's layers, none of whose weights train, and the pooling."""
        row, shrink, side = self.row, self.branch.shrink, self.branch.side(self.row.size)
        means = f"means of {shrink} × {shrink}"
        shrunk = [unweighted("AveragePool", "shrunk", (side, side, 3), means)] if shrink > 1 else []
        colours = [f"colours {row.colours}"] if row.colours != "raw" else []
        detail = ", ".join([*self.branch.taps, *colours])
        backbone: list[LayerFacts] = [{**layer, "trainable": 0} for layer in converted_layers(converted)]
        return [*shrunk, *backbone, unweighted(POOLED_BY[row.pooling], row.pooling, [columns], detail)]

    def maps(self, converted: Path) -> list[int]:
        """Those of each tap, or of the last map."""
        return map_channels(converted)


@dataclass(frozen=True)
class StatisticsPass:
    """The row's statistics of the cell."""

    row: ModelSettings

    @property
    def name(self) -> str:
        """All statistics are one model."""
        return "statistics"

    @property
    def kind(self) -> dict[str, Any]:
        """The statistics, the frame and the size."""
        return {"statistics": list(self.row.statistics), "frame": self.row.frame, "size": self.row.size}

    def converted(self, folder: Path) -> Path:
        """The statistics' model."""
        return converted_statistics(self.row.statistics, self.row.frame, self.row.size, folder)

    def model(self) -> keras.Model:
        """The statistics' model."""
        load_keras()
        return statistics_model(self.row.statistics, self.row.frame, self.row.size)

    def columns(self, width: int) -> slice:
        """All."""
        return slice(0, width)

    def layers(self, converted: Path, columns: int) -> list[LayerFacts]:
        """One entry for all statistics."""
        return [unweighted("Statistics", "statistics", [columns], ", ".join(self.row.statistics))]

    def maps(self, converted: Path) -> list[int]:
        """None."""
        return []


def passes_of(row: ModelSettings) -> list[Pass]:
    """The passes of a frozen row, in the order of its columns."""
    of_backbones = [BackbonePass(row, branch) for branch in row.branches]
    return [*of_backbones, *([StatisticsPass(row)] if row.statistics else [])]
