"""The fetch stage as DVC runs it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.fixtures.standin import picture_bytes
from tests.fixtures.unprivileged import AS_A_USER

STAGE = Path(__file__).parents[2] / "stages/fetch.py"
NO_NETWORK = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:9")


def run_stage(
    folder: Path, fetch: dict, before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    (folder / "params.yaml").write_text(
        yaml.safe_dump({"fetch": fetch, "models": {"row": {"backbone": "MobileNetV2"}}})
    )
    return subprocess.run(
        [*before, sys.executable, STAGE],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_stage_fills_data_raw_and_says_what_it_found(tmp_path: Path) -> None:
    for name in ("all/p1/1.png", "hem/p1/1.png"):
        (tmp_path / "own" / name).parent.mkdir(parents=True)
        (tmp_path / "own" / name).write_bytes(picture_bytes(name))
    done = run_stage(tmp_path, {"source": "folder", "name": "own", "path": "own"})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "own: 2 images (train 1 all, train 1 hem)\n"
    assert (tmp_path / "data/raw/images/all/p1/1.png").read_bytes() == picture_bytes("all/p1/1.png")


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = run_stage(tmp_path, {"source": "folder", "path": "nowhere"})
    assert done.returncode == 2
    assert done.stderr == "error: fetch.path: nowhere does not exist\n"
    assert not (tmp_path / "data/raw").exists()


@pytest.mark.parametrize("locked", ["all/p1/1.png", "all/p1", "labels.csv"])
def test_what_may_not_be_read_is_named_and_nothing_is_fetched(tmp_path: Path, locked: str) -> None:
    for name in ("all/p1/1.png", "all/p1/2.png", "hem/p1/1.png", "labels.csv"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(picture_bytes(name))
    (tmp_path / "own" / locked).chmod(0)
    done = run_stage(tmp_path, {"source": "folder", "path": "own"}, AS_A_USER)
    (tmp_path / "own" / locked).chmod(0o700)
    assert done.returncode == 2
    assert re.fullmatch(rf"error: \S*/own/{locked} cannot be read.*permission denied.*\n", done.stderr, re.IGNORECASE)
    assert not (tmp_path / "data/raw").exists()


def test_without_a_network_kaggle_ends_soon_in_how_to_do_it_by_hand(tmp_path: Path) -> None:
    started = time.monotonic()
    done = run_stage(
        tmp_path,
        {"source": "kaggle", "name": "cnmc"},
        **NO_NETWORK,
        KAGGLE_USERNAME="somebody",
        KAGGLE_KEY="planted-a9f3",
        NO_PROXY="",
        no_proxy="",
        KAGGLEHUB_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "planted-a9f3" not in done.stdout + done.stderr
    for part in ("andrewmvd/leukemia-classification", "fetch.source: archive", "fetch.path: <the archive>"):
        assert part in done.stderr
    assert time.monotonic() - started < 30
