"""OpenVINO sends no reports to Google Analytics: their sender is neither installed nor locked for any platform."""

import importlib.util
import tomllib
from pathlib import Path

LOCK = Path(__file__).parents[1] / "uv.lock"
SENDER = "openvino-telemetry"


def test_the_sender_is_not_installed() -> None:
    assert importlib.util.find_spec("openvino_telemetry") is None


def test_openvino_converts_with_its_own_stub_in_that_place() -> None:
    from openvino.tools.ovc import convert_impl, telemetry_utils

    assert {module.tm.__name__ for module in (convert_impl, telemetry_utils)} == {"openvino.tools.ovc.telemetry_stub"}


def test_no_platform_of_the_lock_file_installs_it() -> None:
    packages = tomllib.loads(LOCK.read_text(encoding="utf-8"))["package"]
    asked = [one for package in packages for one in package.get("dependencies", []) if one["name"] == SENDER]
    assert [one.get("marker") for one in asked] == ["sys_platform == 'never'"]
