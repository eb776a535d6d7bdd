"""What the checkout holds: room, weights, data, the tracking store, the registry."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from leukoscope.config.params import Fetch, Params
from leukoscope.core import checkout
from leukoscope.core.paths import inside
from leukoscope.doctor.finding import Finding, ok, size, to_do, wrong

REPRO = "uv run dvc repro"
ROOM = 1_000_000_000  # bytes: what the demo and its models leave behind, several times
COPIES = 2  # of a packed array: in data/ and, where the file system has no links, in DVC's cache
SERVER_SECONDS = 5


def disk(params: Params) -> Finding:
    """Whether the checkout may be written and has room for what the next run writes.

    Counted are the images, where they come from another file system or an archive, and the arrays that they are packed
    into; features and models are small beside these.
    """
    root = checkout.root()
    if not os.access(root, os.W_OK):
        return wrong(f"this user may only read {root}, which is enough to predict", f"chmod -R u+w '{root}'")
    free, needed = shutil.disk_usage(root).free, ROOM + _unfetched(params.fetch) + _unpacked(params)
    words = f"{size(free)} free, and the next run needs up to {size(needed)}"
    return ok(words) if free >= needed else wrong(f"{words}; .leukoscope may be deleted at any time", f"df -h '{root}'")


def _unfetched(settings: Fetch) -> int:
    """Bytes that fetching would write: an archive unpacked, or a folder on another file system."""
    if checkout.RAW.exists() or settings.path is None:
        return 0
    path = _source(settings)
    if path.is_file():
        return path.stat().st_size
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
    linked = bool(files) and path.stat().st_dev == checkout.root().stat().st_dev
    return 0 if linked else sum(file.stat().st_size for file in files)


def _unpacked(params: Params) -> int:
    index = checkout.INDEX
    if checkout.PACKED.exists() or not index.exists():
        return 0
    with index.open(encoding="utf-8") as file:
        images = sum(1 for _ in file) - 1
    sides = {(row.frame, row.size) for row in params.rows().values()}
    return COPIES * images * sum(3 * side**2 for _, side in sides)


def _source(settings: Fetch) -> Path:
    assert settings.path is not None
    return checkout.root() / settings.path.expanduser()


def weights(params: Params) -> Finding:
    """Whether every weights file that a row names is here and opens."""
    from leukoscope.features.inventory import starts

    found = starts(params)
    missing = dict.fromkeys(
        f"{start.backbone} at {start.size}" for start in found if start.from_imagenet and not start.here
    )
    files = {start.file for start in found if start.file and (start.here or not start.from_imagenet)}
    for file in sorted(files):
        if not file.is_file():
            return wrong(f"{file} is not there", "put it there, or mend `weights` in params.yaml (leukoscope weights)")
        if why := _does_not_open(file):
            return wrong(f"{file} does not open ({why}): it is not whole", "fetch it again (leukoscope weights)")
    if missing:
        words = f"ImageNet's for {', '.join(missing)} are not here; Keras downloads them when they are needed"
        return to_do(words, "uv run leukoscope weights   # where to put them, without a network")
    return ok(f"{len(files)} files, all of them whole" if files else "no row names any: untrained backbones")


def _does_not_open(file: Path) -> str:
    """Why a weights file is no HDF5 file; empty where it opens."""
    import h5py

    try:
        with h5py.File(file):
            return ""
    except OSError as error:
        return " ".join(str(error).split())


def data(params: Params) -> Finding:
    """Whether the images are where params.yaml says, and those of the last fetch still there."""
    settings = params.fetch
    there = checkout.RAW.exists()
    if settings.path is not None and not _source(settings).exists():
        words = f"fetch.path: {settings.path} is not there" + (f"; {checkout.RAW} has what was fetched before" * there)
        return wrong(words, "mend fetch.path in params.yaml")
    if not there:
        if _locked_before():
            return wrong(f"{checkout.RAW} is gone, and dvc.lock says that it was fetched", REPRO)
        return to_do(f"{checkout.RAW} is not there yet: nothing was fetched", REPRO)
    try:
        about = json.loads(checkout.SOURCE.read_text(encoding="utf-8"))
        with checkout.INDEX.open(encoding="utf-8", newline="") as file:
            files = [row["file"] for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError) as error:
        return wrong(f"{checkout.RAW} is not whole ({error})", REPRO)
    if gone := [file for file in files if not inside(checkout.IMAGE_FILES, file).is_file()]:
        return wrong(
            f"{len(gone)} of {len(files)} images are gone from {checkout.IMAGE_FILES}, such as {gone[0]}", REPRO
        )
    if (about["name"], about["source"]) != (settings.name, settings.source):
        words = f"{checkout.RAW} has '{about['name']}' ({about['source']}), params.yaml names '{settings.name}'"
        return to_do(f"{words} ({settings.source})", REPRO)
    return ok(f"'{about['name']}', {len(files)} {about['kind']} images{_bad(checkout.VALIDATION)}")


def _locked_before() -> bool:
    lock = checkout.root() / "dvc.lock"
    return lock.exists() and f"path: {checkout.RAW}" in lock.read_text(encoding="utf-8")


def _bad(report: Path) -> str:
    path = report / "validation.json"
    if not path.exists():
        return ", not validated yet"
    bad: list[Any] = json.loads(path.read_text(encoding="utf-8"))["bad"]
    return f", {len(bad)} of them unreadable ({path})" if bad else ", all of them read by validate"


def store(params: Params) -> Finding:
    """Whether MLflow's store answers, and a SQLite file is whole."""
    from leukoscope.tracking import store as mlflow_store

    uri = mlflow_store.tracking_uri()
    shown = mlflow_store.shown_uri(uri)
    if uri.startswith(("http://", "https://")):
        return _server(uri, shown)
    root = mlflow_store.local_root(uri)
    database = root / Path(uri).name if root else None
    if database and not database.exists():
        return to_do("no run yet: the first training makes it", REPRO)
    if database and (why := _damage(database)):
        aside = f"mv '{database}' '{database}.damaged' && uv run dvc repro -f -s register"
        return wrong(f"{database} is damaged ({why}); the champion comes back, older runs do not", aside)
    experiments = mlflow_store.open_store().search_experiments(max_results=1000)
    ours = [one.name for one in experiments if one.name.startswith(mlflow_store.EXPERIMENT_PREFIX)]
    where = size(database.stat().st_size) if database else shown
    return ok(f"{where}, experiments {', '.join(ours) or 'none yet'}")


def _server(uri: str, shown: str) -> Finding:
    """A server is asked once whether it is well; MLflow's own tries would take half a minute."""
    mend = "start the server, or: unset MLFLOW_TRACKING_URI"
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_SECONDS):
            return ok(f"{shown} answers")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            return wrong(f"{shown} does not let this user in (HTTP {error.code})", "mend MLFLOW_TRACKING_USERNAME")
        return wrong(f"{shown} answers with HTTP {error.code}, as no MLflow server does", mend)
    except (OSError, ValueError) as error:
        return wrong(f"{shown} does not answer ({getattr(error, 'reason', error)})", mend)


def _damage(database: Path) -> str:
    """What SQLite finds wrong with its file; empty where it is whole."""
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=SERVER_SECONDS)
        try:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else " ".join(said.split())


def registered(params: Params) -> Finding:
    """Whether there is a champion whose files are those that were registered."""
    from leukoscope.registry import versions
    from leukoscope.registry.files import whole_files
    from leukoscope.tracking import store as mlflow_store

    uri = mlflow_store.tracking_uri()
    root = mlflow_store.local_root(uri)
    if root and not (root / Path(uri).name).exists():
        return to_do("no champion yet: the pipeline's end promotes one", REPRO)
    if store(params).mark != "ok":
        return to_do("not looked at: the tracking store, which holds it, comes first", "")
    champion = versions.champion_or_none(params.fetch.name)
    if champion is None:
        why = f"{checkout.REGISTERED} says why" if checkout.REGISTERED.exists() else "nothing was ranked"
        return to_do(f"no champion of '{params.fetch.name}': {why}", "uv run dvc repro -f -s register")
    whole_files(champion)
    return ok(f"version {champion.version} of {versions.model_name(params.fetch.name)} is champion, its files whole")
