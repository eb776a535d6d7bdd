"""Outputs are whole or not there."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.core.files import new_file, new_folder, sha256_of, write_json
from leukoscope.core.processes import is_alive


def test_a_file_is_replaced_only_when_its_writer_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "made here" / "a.txt"
    with new_file(target) as part:
        part.write_text("first")
    with pytest.raises(RuntimeError), new_file(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert target.read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with new_folder(target) as part:
        (part / "old").touch()
    with pytest.raises(RuntimeError), new_folder(target) as part:
        (part / "half").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    with new_folder(target) as part:
        (part / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_writer_leaves_no_half_output(tmp_path: Path) -> None:
    script = (
        "import os, signal; from pathlib import Path; from leukoscope.core.files import new_folder\n"
        "with new_folder(Path('out')) as part:\n"
        "    (part / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    assert run.returncode == -9
    assert not (tmp_path / "out").exists()
    with new_folder(tmp_path / "out") as part:
        (part / "whole").touch()
    assert list(tmp_path.rglob("*")) == [tmp_path / "out", tmp_path / "out" / "whole"]


def test_json_has_no_nan_and_a_stable_order(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1.5, "a": None})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": null,\n  "b": 1.5\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": 1.5}


def test_a_killed_process_is_dead_before_anybody_has_waited_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert is_alive(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process.pid)
    process.wait()


def test_a_file_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
