"""The command line's words for what the rooms below return. Nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leukoscope.data.quality.audit import Audit
    from leukoscope.registry.versions import Champions, ChampionVersion


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
