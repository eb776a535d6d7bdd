"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from leukoscope.cli import words
from leukoscope.core.checkout import EXPLAINED, REPORTS, TABLE_V
from leukoscope.core.errors import UserError, one_line, run_reporting_errors
from leukoscope.serving.limits import Limits

if TYPE_CHECKING:
    from leukoscope.config.params import Compute


app = typer.Typer(
    help="Leukemia cell classifiers, from images to a promoted model, with honest numbers.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Version = Annotated[int | None, typer.Option(help="A registered version; the champion otherwise.")]
Engine = Literal["local", "ray"]


def _rows(incomplete: str) -> list[str]:
    """The rows of params.yaml, for the shell to complete; none outside of a checkout."""
    from leukoscope.config.params import load_params

    try:
        return [row for row in load_params().models if row.startswith(incomplete)]
    except UserError:
        return []


def _profiles(incomplete: str) -> list[str]:
    from leukoscope.config.profile import profile_names

    return [name for name in profile_names() if name.startswith(incomplete)]


def _data_name() -> str:
    from leukoscope.config.params import load_params

    return load_params().fetch.name


def _compute(engine: Engine | None) -> Compute:
    from leukoscope.config.params import load_params

    compute = load_params().compute
    return compute if engine is None else compute.model_copy(update={"engine": engine})


@app.command()
def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Images, folders of images, zip or tar archives of them; with --parquet also URLs such as s3://a/b."
        ),
    ],
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
    parquet: Annotated[
        str | None,
        typer.Option(
            help="Instead write parquet files into this folder or URL, a shard of the pictures each. Run again, the "
            "same command computes the shards that are missing."
        ),
    ] = None,
    engine: Annotated[
        Engine | None, typer.Option(help="Where shards are computed; as `compute.engine` says otherwise.")
    ] = None,
) -> None:
    """Score images of single cells on black with the champion: p(ALL), and the call at its threshold.

    Near the threshold it says refer; a picture that is not one cell on black, or unlike the training cells in size or
    colour, is flagged and not called. Every output says what the model was trained on.

    Example: leukoscope predict data/raw/images --csv scores.csv
    """
    from leukoscope.cli import scores
    from leukoscope.prediction import command
    from leukoscope.registry import loading

    wanted = command.Wanted(csv=csv, jsonl=jsonl, subjects=subjects, scale=scale, prevalence=prevalence)
    if parquet is None:
        if engine:
            raise UserError("--engine says where parquet files are computed: name their folder with --parquet")
        scores.show(
            command.predict([*map(Path, paths)], lambda: loading.load_champion(_data_name(), version), wanted), wanted
        )
        return
    from leukoscope.cluster.prediction import run_of

    run = run_of(_compute(engine))
    sharded = command.predict_shards(
        paths, lambda: loading.load_version(_data_name(), version), parquet, wanted, run, scores.unreadable
    )
    scores.show_shards(sharded)


@app.command()
def explain(
    paths: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, or folders of images.")],
    out: Annotated[Path, typer.Option(help="Put the pictures here.")] = EXPLAINED,
    version: Version = None,
    sanity: Annotated[bool, typer.Option("--sanity", help="Add the map of the model with shuffled weights.")] = False,
) -> None:
    """Draw where in each image a call comes from: Grad-CAM overlays of the champion, as PNG files.

    A map says where the numbers were read that p rests on, and not why, nor whether the call is right. Calls, flags and
    what to refer are those of predict.

    Example: leukoscope explain data/raw/images/C-NMC_Leukemia/validation_data
    """
    from leukoscope.explain import command
    from leukoscope.prediction.scoring import none_read

    explanation = command.explain(paths, _data_name(), version, out, sanity=sanity)
    for line in explanation.unreadable:
        typer.echo(f"not explained: {one_line(line)}", err=True)
    if not explanation.drawn:
        raise none_read(len(explanation.unreadable))
    typer.echo(words.of_explanation(explanation))
    for line in words.notes_on(explanation):
        typer.echo(line, err=True)


@app.command()
def audit() -> None:
    """Say which images are one picture, and which subjects they join into groups.

    Example: leukoscope audit
    """
    from leukoscope.data.quality import audit

    typer.echo(words.of_audit(audit.audit(REPORTS)))


@app.command()
def summary() -> None:
    """Show the models side by side, the promoted version, and where to look next.

    Example: leukoscope summary
    """
    from leukoscope.registry import versions
    from leukoscope.report.terminal import terminal_summary

    typer.echo(terminal_summary(REPORTS, versions.champion_or_none(_data_name())))


@app.command()
def table(
    csv: Annotated[Path, typer.Option(help="The table, as the report writes it.")] = TABLE_V,
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
def card(
    version: Version = None,
    facts: Annotated[Path | None, typer.Option(help="A version's model_card.json instead of the registry.")] = None,
    into: Annotated[Path | None, typer.Option(help="Put it between the markers of this file.")] = None,
) -> None:
    """Print the champion's model card as Markdown: data, protocol, figures with intervals, limits.

    Example: leukoscope card --into docs/model_card.md
    """
    from leukoscope.artifacts.card import CardFacts
    from leukoscope.registry.card import BEGIN, END, model_card
    from leukoscope.report.markdown import put_into

    if facts:
        text = model_card(CardFacts.read(facts))
    else:
        from leukoscope.registry import loading

        text = model_card(loading.load_card(_data_name(), version))
    if into:
        put_into(text, into, (BEGIN, END))
        typer.echo(f"{into}: model card replaced")
    else:
        typer.echo(text, nl=False)


@app.command()
def champion() -> None:
    """Show the version that predict uses, and the one before it.

    Example: leukoscope champion
    """
    from leukoscope.registry import versions

    typer.echo(words.of_champions(versions.champions(_data_name())))


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="The registered version.")],
    reason: Annotated[str, typer.Option(help="Why; kept as a tag of the version.")],
) -> None:
    """Make a registered version champion.

    Example: leukoscope promote 2 --reason "better on our own smears"
    """
    from leukoscope.registry import versions

    typer.echo(versions.promote(_data_name(), version, reason))


@app.command()
def rollback() -> None:
    """Give the champion's place back to the version before it.

    Example: leukoscope rollback
    """
    from leukoscope.registry import versions

    typer.echo(versions.rollback(_data_name()))


@app.command()
def profile(
    name: Annotated[
        str, typer.Argument(help="demo, cnmc (for a GPU) or cnmc-frozen (for two cores).", autocompletion=_profiles)
    ],
) -> None:
    """Rewrite params.yaml for a kind of run and print the difference; `fetch:` and all comments stay.

    The rows under `models:` are replaced as a whole. Edits that are not committed to git are refused.

    Example: leukoscope profile cnmc-frozen
    """
    from leukoscope.config.profile import apply_profile

    edit = apply_profile(name)
    says = f"params.yaml says what profile {name} does: nothing to change"
    typer.echo(edit.difference(f"with profile {name}") if edit.changed else says)
    typer.echo("next: uv run leukoscope weights; uv run dvc repro", err=True)


@app.command()
def train(
    row: Annotated[str | None, typer.Argument(help="A row of models in params.yaml.", autocompletion=_rows)] = None,
    every: Annotated[bool, typer.Option("--all", help="Train every row.")] = False,
) -> None:
    """Train and evaluate rows under all protocols side by side on Ray, where `dvc repro` does it one after another.

    It needs `compute.engine: ray`. Results are what `dvc repro` would make of them, and `dvc.lock` says so: a later
    `dvc repro` goes on from there. What is up to date already is not trained again.

    Example: leukoscope train --all
    """
    from leukoscope.cluster.training import train_rows
    from leukoscope.config.params import chosen_rows, load_params

    params = load_params()
    trained = train_rows(params, chosen_rows(params, row, every=every))
    typer.echo(f"{trained.pairs} of {trained.of} rows and protocols trained and evaluated; next: uv run dvc repro")


@app.command()
def tune(
    row: Annotated[str | None, typer.Argument(help="A row of models in params.yaml.", autocompletion=_rows)] = None,
    trials: Annotated[int, typer.Option(min=1, help="The study's total: those that it has already count.")] = 50,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, or workers on Ray; as many as there is room for otherwise.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write a convincing winner into params.yaml.")] = False,
    nested: Annotated[bool, typer.Option("--nested", help="Say what tuning gains on unseen groups.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Tune every row, one after another.")] = False,
    another: Annotated[bool, typer.Option("--another", help="Begin beside a study on other data or space.")] = False,
) -> None:
    """Search a row's settings inside the train and val sides of a protocol; `tune:` in params.yaml says where and what.

    The same command goes on with a study, and joins it from another machine where `tune.storage` is a database.

    Example: leukoscope tune modified_mobilenet --trials 10
    """
    from leukoscope.cluster.studies import start_of
    from leukoscope.config.params import chosen_rows, load_params
    from leukoscope.tuning import command

    params = load_params()
    start = start_of(params.compute)
    for name in chosen_rows(params, row, every=every):
        found = command.tune(params, name, trials, workers, another=another, apply=apply, nested=nested, start=start)
        typer.echo(words.of_study(found, apply=apply))


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8080,
) -> None:
    """Open Optuna's dashboard on the studies of this checkout, or of the storage that `tune.storage` names.

    Example: leukoscope dashboard --port 8081
    """
    from leukoscope.config.params import load_params
    from leukoscope.tuning.storage import dashboard_command

    command = dashboard_command(load_params().tune.storage, port)
    typer.echo(f"Optuna: http://127.0.0.1:{port} (Ctrl-C ends it)")
    sys.stdout.flush()
    os.execvp(command[0], command)


@app.command()
def serve(
    version: Annotated[int | None, typer.Option(help="A registered version; otherwise whichever is champion.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 takes a free one.")] = 8000,
    max_images: Annotated[int, typer.Option(min=1, help="Pictures of one request.")] = Limits.images,
    max_image_mb: Annotated[float, typer.Option(min=0.001, help="MB of one picture's file.")] = Limits.image_mb,
    max_upload_mb: Annotated[float, typer.Option(min=0.001, help="MB of one request.")] = Limits.upload_mb,
    max_memory_mb: Annotated[
        float, typer.Option(min=0.001, help="MB of all requests that run at once.")
    ] = Limits.memory_mb,
    stall_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a client may be silent.")
    ] = Limits.stall_seconds,
    upload_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds that an upload may take.")
    ] = Limits.upload_seconds,
    answer_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds that scoring a request may take.")
    ] = Limits.answer_seconds,
) -> None:
    """Serve a page to drop cells on, and the same for programs: POST /predict, GET /model, GET /health.

    It follows the champion while it runs, unless --version names one.

    Example: leukoscope serve --port 8000
    """
    from leukoscope.serving.command import serve_command

    limits = Limits(
        images=max_images,
        image_mb=max_image_mb,
        upload_mb=max_upload_mb,
        memory_mb=max_memory_mb,
        stall_seconds=stall_seconds,
        upload_seconds=upload_seconds,
        answer_seconds=answer_seconds,
    )
    serve_command(_data_name(), version, host, port, limits, lambda line: typer.echo(line, err=True))


@app.command()
def weights() -> None:
    """List each backbone's ImageNet weights: whether they are here, their file, its place, and the rows that use them.

    Example: leukoscope weights
    """
    from leukoscope.config.params import load_params
    from leukoscope.features.inventory import starts

    typer.echo(words.of_weights(starts(load_params())))


@app.command()
def doctor() -> None:
    """Look at Python, packages, GPU, disk, weights, data, tracking store and registry, and say how to mend each.

    Exit code 0 when nothing is wrong (what is not made yet is no fault), else 2.

    Example: leukoscope doctor
    """
    from leukoscope.doctor import examine, line

    found = []
    for name, finding in examine():
        typer.echo(line(name, finding))
        found.append((name, finding.mark))
    if ill := [name for name, mark in found if mark == "WRONG"]:
        raise UserError(f"{len(ill)} of {len(found)} are wrong: {', '.join(ill)}")
    waiting = [name for name, mark in found if mark == "to do"]
    typer.echo(f"nothing is wrong; to do: {', '.join(waiting)}" if waiting else "all is well")


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 5000,
) -> None:
    """Open MLflow's pages on this machine and print their address.

    Example: leukoscope ui --port 5001
    """
    from leukoscope.tracking import pages

    command = pages.ui_command(port)
    typer.echo(f"MLflow: {pages.ui_page(port, _data_name())} (Ctrl-C ends it)")
    sys.stdout.flush()
    os.execvp(command[0], command)


def main() -> None:
    """Run the command line: exit code 2 and one line for the user's mistakes, 1 for ours."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    sys.exit(run_reporting_errors(lambda: app(standalone_mode=True), debug=debug or None))
