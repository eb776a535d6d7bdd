"""What the doctor says of checkouts in which something is really broken: disks, weights, images, stores, versions."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from leukoscope.config.params import Fetch, Params, load_params
from leukoscope.core.checkout import INDEX, RAW
from leukoscope.core.errors import DataError
from leukoscope.data.sources.fetch import fetch
from leukoscope.doctor import checkout as doctor
from leukoscope.registry import versions
from leukoscope.registry.files import MODEL_FILE
from leukoscope.registry.promotion import register
from tests.fixtures.checkout import ROOT
from tests.fixtures.stores import checkout_with_store, empty_checkout
from tests.fixtures.trained_rows import images, params, splits, write_params, write_row

ParamsWith = Callable[..., Params]


def test_before_anything_was_run_nothing_is_wrong(checkout: Path) -> None:
    marks = {name: look(load_params()).mark for name, look in CHECKS.items()}
    assert marks == {"disk": "ok", "weights": "ok", "data": "to do", "store": "to do", "registered": "to do"}


CHECKS = {look.__name__: look for look in (doctor.disk, doctor.weights, doctor.data, doctor.store, doctor.registered)}


# Disk


@pytest.mark.mounts
def test_a_disk_without_room_is_wrong(
    checkout: Path, small_disk: Callable[[int], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_params()
    disk = small_disk(1 << 20)
    (disk / "full").write_bytes(bytes(1 << 20))
    with monkeypatch.context() as patch:
        patch.chdir(disk)
        found = doctor.disk(settings)
    assert (found.mark, found.mend) == ("WRONG", f"df -h '{disk}'")
    assert found.words.startswith("0 MB free")


def test_packed_arrays_that_are_still_to_be_written_are_counted(checkout: Path, params_with: ParamsWith) -> None:
    settings = params_with(model_defaults={"size": 224})
    before = doctor.disk(settings).words
    Path("data/raw").mkdir(parents=True)
    Path("data/raw/index.csv").write_text("file\n" + "x.bmp\n" * 15_114)  # the complete C-NMC 2019
    needed = doctor.ROOM + 2 * 15_114 * 3 * 224**2
    assert f"up to {needed / 1e9:.1f} GB" in doctor.disk(settings).words
    assert f"up to {doctor.ROOM / 1e9:.1f} GB" in before


# Weights


def weights_file(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["layers"] = np.zeros(100_000, np.float32)
    return path


def test_a_weights_file_that_is_missing_or_cut_off_is_named(checkout: Path, params_with: ParamsWith) -> None:
    settings = params_with(model_defaults={"weights": "backbone.weights.h5"})
    found = doctor.weights(settings)
    assert (found.mark, found.words) == ("WRONG", "backbone.weights.h5 is not there")
    whole = weights_file(Path("backbone.weights.h5")).read_bytes()
    assert doctor.weights(settings).mark == "ok"
    Path("backbone.weights.h5").write_bytes(whole[:100_000])
    found = doctor.weights(settings)
    assert found.mark == "WRONG"
    assert "backbone.weights.h5 does not open (" in found.words
    assert found.mend


def test_imagenets_weights_are_to_be_downloaded_until_they_are_here(
    checkout: Path, params_with: ParamsWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    settings = params_with(model_defaults={"weights": "imagenet", "size": 224})
    found = doctor.weights(settings)
    assert found.mark == "to do"
    assert "mobilenetv2 at 224, efficientnetb3 at 224 are not here" in found.words
    (tmp_path / "keras/models").mkdir(parents=True)
    for name in ("mobilenetv2", "efficientnetb3"):
        from leukoscope.features.backbones import BACKBONES

        weights_file(BACKBONES[name].imagenet.place(224))
    assert doctor.weights(settings) == ("ok", "2 files, all of them whole", "")


# Data


FEW = {"subjects_all": 2, "subjects_hem": 2, "images_per_subject": 2, "prelim_subjects": 2, "final_images": 0}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some synthetic cells as fetch leaves them."""
    folder = tmp_path_factory.mktemp("fetched") / "raw"
    fetch(Fetch.model_validate({"synthetic": FEW}), folder)
    return folder


@pytest.fixture
def fetched(params_with: ParamsWith, raw: Path) -> Params:
    settings = params_with(fetch={"synthetic": FEW})
    shutil.copytree(raw, RAW)
    return settings


def test_images_that_were_fetched_are_counted(fetched: Params) -> None:
    found = doctor.data(fetched)
    assert found.mark == "ok"
    assert "synthetic images, not validated yet" in found.words


def test_an_image_that_is_gone_is_named(fetched: Params) -> None:
    next(Path("data/raw/images").rglob("*.png")).unlink()
    found = doctor.data(fetched)
    assert (found.mark, found.mend) == ("WRONG", "uv run dvc repro")
    assert "1 of " in found.words


def test_an_index_that_names_a_file_outside_is_an_error(fetched: Params) -> None:
    INDEX.write_text("file\n../../params.yaml\n")
    with pytest.raises(DataError, match="leads outside data/raw/images"):
        doctor.data(fetched)


def test_half_a_fetch_is_not_taken_for_one(fetched: Params) -> None:
    Path("data/raw/source.json").write_text("{")
    assert doctor.data(fetched).mark == "WRONG"


def test_raw_data_that_dvc_lock_names_and_that_are_gone_are_wrong(fetched: Params) -> None:
    Path("dvc.lock").write_text("stages:\n  fetch:\n    outs:\n    - path: data/raw\n")
    shutil.rmtree("data/raw")
    found = doctor.data(fetched)
    assert (found.mark, found.words.startswith("data/raw is gone")) == ("WRONG", True)


def test_data_of_another_name_are_to_be_fetched_again(fetched: Params, params_with: ParamsWith) -> None:
    assert doctor.data(params_with(fetch={"name": "mine"})).mark == "to do"


def test_a_source_that_is_not_there_is_wrong(params_with: ParamsWith) -> None:
    found = doctor.data(params_with(fetch={"source": "folder", "path": "/nowhere/cells"}))
    assert (found.mark, found.words) == ("WRONG", "fetch.path: /nowhere/cells is not there")


# Store and registry


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose register stage has promoted a real model."""
    with pytest.MonkeyPatch.context() as patch:
        root = checkout_with_store(tmp_path_factory.mktemp("promoted"), patch)
        write_row(root, "a_row", skill=3)
        write_params(root, "a_row")
        register(params("a_row"), images(), splits())
    return root


@pytest.fixture
def with_champion(promoted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A copy of that checkout, as the working directory."""
    root = empty_checkout(tmp_path, monkeypatch)
    shutil.copytree(promoted, root, dirs_exist_ok=True)
    return params("a_row")


def test_a_whole_store_and_a_whole_champion_are_ok(with_champion: Params) -> None:
    assert "experiments leukoscope/cells" in doctor.store(with_champion).words
    assert doctor.registered(with_champion).words == "version 1 of leukoscope-cells is champion, its files whole"


def overwritten_start(content: bytes) -> bytes:
    return b"x" * 100 + content[100:]


def overwritten_pages(content: bytes) -> bytes:
    pages = [content[start : start + 4096] for start in range(0, len(content), 4096)]
    return b"".join([pages[0], *(os.urandom(64) + page[64:] for page in pages[1:])])


def cut_in_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("damage", [overwritten_start, overwritten_pages, cut_in_half])
def test_a_damaged_store_is_noticed(with_champion: Params, damage: Callable[[bytes], bytes]) -> None:
    database = Path("mlruns/mlflow.db")
    database.write_bytes(damage(database.read_bytes()))
    found = doctor.store(with_champion)
    assert found.mark == "WRONG"
    assert "mlflow.db is damaged (" in found.words
    assert doctor.registered(with_champion).mark == "to do"


REGISTER = "from tests.fixtures.trained_rows import *; from leukoscope.registry.promotion import register; "
REGISTER += "register(params('a_row'), images(), splits())"


@pytest.mark.slow
def test_the_command_that_mends_a_damaged_store_brings_the_champion_back(with_champion: Params) -> None:
    database = Path("mlruns/mlflow.db")
    database.write_bytes(cut_in_half(database.read_bytes()))
    aside, again = doctor.store(with_champion).mend.split(" && ")
    subprocess.run(aside, shell=True, check=True)
    assert again == "uv run dvc repro -f -s register"
    # What that stage runs, and in a process of its own, as it does: MLflow keeps connections to files that were moved.
    subprocess.run([sys.executable, "-c", REGISTER], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert doctor.store(with_champion).mark == "ok"
    assert doctor.registered(with_champion).mark == "ok"


def test_a_champion_whose_files_are_gone_or_changed_is_wrong(with_champion: Params) -> None:
    model = Path(versions.champion("cells").source) / MODEL_FILE
    whole = model.read_bytes()
    model.write_bytes(whole + b"x")
    with pytest.raises(versions.RegistryError, match="is not the file that was registered"):
        doctor.registered(with_champion)
    model.unlink()
    with pytest.raises(versions.RegistryError, match=r"are gone from .*: run uv run dvc repro -f -s register"):
        doctor.registered(with_champion)


def test_a_store_without_a_champion_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout_with_store(tmp_path, monkeypatch)
    assert doctor.registered(params("a_row"))[::2] == ("to do", "uv run dvc repro -f -s register")


# Servers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening(answer: type[http.server.BaseHTTPRequestHandler]) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_a_server_that_is_down_is_said_in_no_time_and_without_its_password(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:hidden@127.0.0.1:{free_port()}")
    started = time.monotonic()
    found = doctor.store(load_params())
    assert time.monotonic() - started < 2
    assert found.mark == "WRONG"
    assert "does not answer" in found.words
    assert "hidden" not in str(found)
    assert "unset MLFLOW_TRACKING_URI" in found.mend


def test_a_server_that_accepts_and_says_nothing_is_given_up(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SERVER_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        found = doctor.store(load_params())
    assert (found.mark, "does not answer (timed out)" in found.words) == ("WRONG", True)


class NotMLflow(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *words: object) -> None:
        pass


def test_a_server_of_something_else_is_not_taken_for_mlflow(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(NotMLflow) as port:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        assert "HTTP 404, as no MLflow server does" in doctor.store(load_params()).words


@pytest.mark.slow
def test_mlflows_own_server_answers(with_champion: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tracking.test_runs import served

    port = free_port()
    with served(port):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        assert doctor.store(with_champion).words == f"http://127.0.0.1:{port} answers"
        assert doctor.registered(with_champion).mark == "ok"
