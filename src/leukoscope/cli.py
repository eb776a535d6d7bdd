"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from leukoscope.errors import run_reporting_errors

app = typer.Typer(
    help="Leukemia cell classifiers, from images to a promoted model, with honest numbers.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Version = Annotated[int | None, typer.Option(help="A registered version; the champion otherwise.")]


def _data_name() -> str:
    from leukoscope.config import load_params

    return load_params().fetch.name


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Images, folders of images, zip or tar archives of them.")],
    csv: Annotated[Path | None, typer.Option(help="Write a row an image here; - for stdout.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Write a line of JSON an image here; - for stdout.")] = None,
    subjects: Annotated[Path | None, typer.Option(help="Write a CSV row a subject here; - for stdout.")] = None,
    version: Version = None,
    scale: Annotated[
        str,
        typer.Option(
            help="For other optics: what enlarges your pictures to the training pictures' scale, as a factor (1.5) or "
            "as the micrometres per pixel of yours and of theirs (0.12/0.08). The model never rescales by itself: a "
            "cell's size is a cue."
        ),
    ] = "1",
    prevalence: Annotated[
        float | None,
        typer.Option(help="Also give p for this share of ALL (0 to 1) in place of the training data's. Calls stay."),
    ] = None,
) -> None:
    """Score images of single cells on black with the champion: p(ALL), and the call at its threshold.

    Near the threshold it says refer; a picture that is not one cell on black, or unlike the training cells in size or
    colour, is flagged and not called. Every output says what the model was trained on.

    Example: leukoscope predict data/raw/images --csv scores.csv
    """
    from leukoscope import registry
    from leukoscope.prediction import command

    wanted = command.Wanted(csv=csv, jsonl=jsonl, subjects=subjects, scale=scale, prevalence=prevalence)
    command.predict(paths, lambda: registry.load_champion(_data_name(), version), wanted)


@app.command()
def explain(
    paths: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, or folders of images.")],
    out: Annotated[Path, typer.Option(help="Put the pictures here.")] = Path("reports/explained"),
    version: Version = None,
    sanity: Annotated[bool, typer.Option("--sanity", help="Add the map of the model with shuffled weights.")] = False,
) -> None:
    """Draw where in each image a call comes from: Grad-CAM overlays of the champion, as PNG files.

    A map says where the numbers were read that p rests on, and not why, nor whether the call is right.

    Example: leukoscope explain data/raw/images/C-NMC_Leukemia/validation_data --out explained
    """
    from leukoscope.explain import explain_command

    explain_command(paths, _data_name(), version, out, typer.echo, sanity=sanity)


@app.command()
def audit() -> None:
    """Say which images are one picture, and which subjects they join into groups.

    Example: leukoscope audit
    """
    from leukoscope.data.duplicates import audit_text

    typer.echo(audit_text(Path("reports")))


@app.command()
def summary() -> None:
    """Show the models side by side, the promoted version, and where to look next.

    Example: leukoscope summary
    """
    from leukoscope import registry
    from leukoscope.report import terminal_summary

    typer.echo(terminal_summary(Path("reports"), registry.champion_or_none(_data_name())))


@app.command()
def table(
    csv: Annotated[Path, typer.Option(help="The table, as the report writes it.")] = Path("reports/table_v.csv"),
    into: Annotated[Path | None, typer.Option(help="Put it between the markers of this file.")] = None,
) -> None:
    """Print Table V beside ours as Markdown.

    Example: leukoscope table --into README.md
    """
    from leukoscope.report.markdown import markdown_table, put_into

    text = markdown_table(csv)
    if into:
        put_into(text, into)
        typer.echo(f"{into}: table replaced")
    else:
        typer.echo(text, nl=False)


@app.command()
def champion() -> None:
    """Show the version that predict uses, and the one before it.

    Example: leukoscope champion
    """
    from leukoscope import registry

    typer.echo(registry.describe(_data_name()))


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="The registered version.")],
    reason: Annotated[str, typer.Option(help="Why; kept as a tag of the version.")],
) -> None:
    """Make a registered version champion.

    Example: leukoscope promote 2 --reason "better on our own smears"
    """
    from leukoscope import registry

    typer.echo(registry.promote(_data_name(), version, reason))


@app.command()
def rollback() -> None:
    """Give the champion's place back to the version before it.

    Example: leukoscope rollback
    """
    from leukoscope import registry

    typer.echo(registry.rollback(_data_name()))


@app.command()
def profile(
    name: Annotated[str, typer.Argument(help="demo, cnmc (for a GPU) or cnmc-frozen (for two cores).")],
) -> None:
    """Rewrite params.yaml for a kind of run and print the difference; `fetch:` and all comments stay.

    The rows under `models:` are replaced as a whole. Edits that are not committed to git are refused.

    Example: leukoscope profile cnmc-frozen
    """
    from leukoscope.profile import apply_profile

    typer.echo(apply_profile(name) or f"params.yaml says what profile {name} does: nothing to change")


@app.command()
def tune(
    row: Annotated[str | None, typer.Argument(help="A row of models in params.yaml.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="The study's total: those that it has already count.")] = 50,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; as many as cores otherwise.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write a convincing winner into params.yaml.")] = False,
    nested: Annotated[bool, typer.Option("--nested", help="Say what tuning gains on unseen groups.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Tune every row, one after another.")] = False,
    another: Annotated[bool, typer.Option("--another", help="Begin beside a study on other data or space.")] = False,
) -> None:
    """Search a row's settings inside the train and val sides of a protocol; `tune:` in params.yaml says where and what.

    The same command goes on with a study, and joins it from another machine where `tune.storage` is a database.

    Example: leukoscope tune modified_mobilenet --trials 10
    """
    from leukoscope.config import load_params
    from leukoscope.tuning import command

    params = load_params()
    for name in command.chosen_rows(params, row, every=every):
        command.tune(
            params,
            name,
            trials,
            workers or os.cpu_count() or 1,
            typer.echo,
            another=another,
            apply=apply,
            nested=nested,
        )


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8080,
) -> None:
    """Open Optuna's dashboard on the studies of this checkout, or of the storage that `tune.storage` names.

    Example: leukoscope dashboard --port 8081
    """
    from leukoscope.config import load_params
    from leukoscope.tuning.storage import dashboard_command

    command = dashboard_command(load_params().tune.storage, port)
    typer.echo(f"Optuna: http://127.0.0.1:{port} (Ctrl-C ends it)")
    sys.stdout.flush()
    os.execvp(command[0], command)


@app.command()
def weights() -> None:
    """List each backbone's ImageNet weights: whether they are here, their file, its place, and the rows that use them.

    Example: leukoscope weights
    """
    from leukoscope.config import load_params
    from leukoscope.models.inventory import weights_text

    typer.echo(weights_text(load_params()))


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 5000,
) -> None:
    """Open MLflow's pages on this machine and print their address.

    Example: leukoscope ui --port 5001
    """
    from leukoscope import tracking

    command = tracking.ui_command(port)
    typer.echo(f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it)")
    sys.stdout.flush()
    os.execvp(command[0], command)


def main() -> None:
    """Run the command line: exit code 2 and one line for the user's mistakes, 1 for ours."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    sys.exit(run_reporting_errors(lambda: app(standalone_mode=True), debug=debug or None))


if __name__ == "__main__":
    main()
