"""The command line's words for what the rooms below return. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from leukoscope.core.text import aligned, with_interval

if TYPE_CHECKING:
    from leukoscope.config.yaml_edit import Edit
    from leukoscope.data.quality.audit import Audit
    from leukoscope.explain.command import Explanation
    from leukoscope.features.inventory import ImageNetFile, Start
    from leukoscope.registry.versions import Champions, ChampionVersion
    from leukoscope.tuning.command import Outcome
    from leukoscope.tuning.gain import Gain


def of_audit(audit: Audit) -> str:
    """Pairs by kind, groups by class, and which subjects share a picture."""
    groups = ", ".join(f"{count} {name}" for name, count in audit.groups.items())
    return "\n".join(
        [
            f"{audit.images} images",
            *(
                f"{number:6d} {kind} pairs, {between} of them between different subjects: {meaning}"
                for kind, meaning, number, between in audit.pairs
            ),
            f"groups of subjects that share no picture: {groups}",
            *(f"  one group: subjects {', '.join(subjects)}" for subjects in audit.joined),
            f"every pair: {audit.file}",
        ]
    )


def of_champions(champions: Champions) -> str:
    """The champion and, where there is one, the version before it, a line each."""
    lines = [_version("champion", champions.champion)]
    if champions.previous:
        lines.append(_version("previous", champions.previous))
    return "\n".join(lines)


def _version(alias: str, version: ChampionVersion) -> str:
    tags = version.tags
    marked = f", {tags['mark']}" if "mark" in tags else ""
    reason = f"; promoted because: {tags['promotion_reason']}" if "promotion_reason" in tags else ""
    return (
        f"{alias}: version {version.version}, {tags['row']} ({tags['combination']}), trained on '{tags['data_name']}' "
        f"({tags['data_kind']} images, {tags['weights_kind']} weights), {tags['side']} AUROC "
        f"{float(tags['auroc']):.3f} under protocol {tags['protocol']}{marked}, threshold "
        f"{float(tags['threshold']):.3f}{reason}"
    )


def of_study(found: Outcome, *, apply: bool) -> str:
    """What a row's study found; `apply` is whether its winner was to be applied. The last line counts the trials."""
    return "\n".join(
        [
            *([f"figures: {found.figures}"] if found.figures else []),
            *([of_nested(found.nested)] if found.nested else []),
            of_winner(found.row, found.gain, found.edit)
            if apply
            else f"{found.gain}; --apply writes a winner into params.yaml where its gain exceeds that",
            str(found.tally),
        ]
    )


def of_winner(row: str, gain: Gain, edit: Edit | None) -> str:
    """What became of a winner that was to be applied; `edit` is None where it does not convince."""
    if edit is None:
        return (
            f"{gain}. It does not exceed one standard error, so params.yaml stays as it is: the paper's values are kept"
        )
    return f"{gain}\n{edit.difference('tuned')}next: uv run dvc repro trains {row} again, and no other row"


def of_nested(report: Mapping[str, Any]) -> str:
    """The content of nested.json."""
    from leukoscope.artifacts.metrics import Estimate

    kept = sum(not fold["convinces"] for fold in report["folds"].values())
    lines = [
        f"nested: {len(report['folds'])} studies, each judged on a fold's test side that no trial saw; "
        f"{report['n']} images, {report['n_groups']} groups"
    ]
    for which, words in (("winner", "best trials"), ("rule", "gain above one standard error, else the paper's values")):
        gap = report[which]
        gained = with_interval(Estimate.of(gap, "gap"), "{:+.4f}".format, none="")
        lines.append(f"{words}: AUROC {gap['auroc_a']:.4f}, the paper's values {gap['auroc_b']:.4f}: gain {gained}")
    lines.append(f"the paper's values were kept in {kept} of {len(report['folds'])} folds")
    return "\n".join(lines)


def of_explanation(explanation: Explanation) -> str:
    """A table: each image's answer, as predict gives it, and its picture."""
    from leukoscope.cli.scores import columns

    rows = [
        {
            "file": drawn.score.file,
            "p_all": f"{drawn.score.p_all:.3f}",
            **columns(drawn.score),
            "version": drawn.score.version,
            "random": "" if drawn.random is None else f"{drawn.random:.3f}",
            "picture": str(drawn.picture),
        }
        for drawn in explanation.drawn
    ]
    return aligned(rows, left={"file", "flags", "picture"})


def notes_on(explanation: Explanation) -> Iterator[str]:
    """The lines for a reader of the pictures: what raised flags mean, what maps do not show, and the warning."""
    from leukoscope.cli.scores import flags_raised
    from leukoscope.explain.command import SHUFFLES
    from leukoscope.registry.notices import warning

    yield from flags_raised([drawn.score for drawn in explanation.drawn])
    random = [drawn.random for drawn in explanation.drawn if drawn.random is not None]
    if random:
        yield (
            f"sanity: over the cell, the maps' ranks correlate by {sum(random) / len(random):.2f} in the mean with "
            f"those of the same model with shuffled weights, {SHUFFLES} times over; near 1 they would show the picture "
            "and not what was learned"
        )
    decision = explanation.version.decision
    if not decision.is_ensemble and (statistics := decision.row_settings.statistics):
        yield f"p also rests on the cell's {', '.join(statistics)}, which no map shows"
    yield warning(explanation.version)


def of_weights(starts: Sequence[Start]) -> str:
    """Two tables: ImageNet's files by backbone and input size, and what each row starts from."""
    from leukoscope.features.inventory import imagenet_files
    from leukoscope.features.weights import keras_folder

    files = [_file(one) for one in imagenet_files(starts)]
    rows = [[start.row, f"{start.backbone} at {start.size}", _start(start)] for start in starts]
    return "\n".join(
        [
            f"ImageNet weights, in {keras_folder()} where no other place is given. With `weights: imagenet` Keras or",
            "KerasHub downloads what is not there; without a network, put the file there.",
            "",
            _table(["backbone", "input", "here", "file"], files),
            "",
            _table(["row of params.yaml", "backbone", "weights"], rows),
        ]
    )


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return aligned([dict(zip(columns, line, strict=True)) for line in lines], left=columns)


def _file(weights: ImageNetFile) -> list[str]:
    found, place = weights.found, weights.place
    origin = f" ({weights.origin})" if weights.origin else ""
    file = str(found) if found and found != place else f"{place.name}{origin}"
    return [weights.backbone, str(weights.size), "yes" if found else "no", file]


def _start(start: Start) -> str:
    if start.file is None:
        return "none: an untrained start"
    away = "to be downloaded" if start.from_imagenet else "MISSING"
    return f"{start.weights}, {'here' if start.here else away}"
