"""What dvc.yaml and .dvcignore say of the project's code; test_what_loads.py holds it against a run."""

from pathlib import Path

from tests.fixtures.stage_files import exempt, lies_in, outside, stage_files, that_count, unused

ROOT = Path(__file__).parents[2]


def test_all_that_stages_depend_on_is_there_and_not_exempt() -> None:
    for stage, deps in stage_files(ROOT).items():
        assert f"stages/{stage}.py" in deps
        assert [dep for dep in deps if not (ROOT / dep).exists()] == [], stage
        assert [dep for dep in deps if lies_in(dep, exempt(ROOT))] == [], stage


def test_no_dependency_holds_another() -> None:
    for stage, deps in stage_files(ROOT).items():
        assert [dep for dep in deps if lies_in(dep, set(deps) - {dep})] == [], stage


def test_all_that_is_exempt_is_there() -> None:
    assert [place for place in exempt(ROOT) if not (ROOT / place).exists()] == []


def test_a_file_outside_and_a_folder_without_use_are_found(tmp_path: Path) -> None:
    modules = {"core/errors.py": "X = 1", "data/__init__.py": '"""Words."""', "data/pack.py": "X = 1"}
    files = [f"src/leukoscope/{name}" for name in modules]
    for file, content in zip(files, modules.values(), strict=True):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
    (tmp_path / ".dvcignore").write_text("# Words\n.venv\nsrc/leukoscope/core\n")
    counted = that_count(files, tmp_path)
    assert counted == {"src/leukoscope/data/pack.py"}
    assert outside(counted, ["src/leukoscope/data"]) == []
    assert outside(counted, ["src/leukoscope/data/pack"]) == ["src/leukoscope/data/pack.py"]
    assert unused(counted, ["src/leukoscope/data", "src/leukoscope/stats"]) == ["src/leukoscope/stats"]
