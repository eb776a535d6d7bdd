"""`leukoscope doctor`: whether this machine and this checkout have what the pipeline needs, a line for each thing.

Nothing is changed by looking, no TensorFlow is imported, and a server that does not answer costs seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leukoscope.config.params import PARAMS_FILE, Params, load_params
from leukoscope.core.errors import ConfigError, LeukoscopeError
from leukoscope.doctor import checkout, machine
from leukoscope.doctor.finding import MARKS, Finding, ok, wrong

Check = Callable[[Params], Finding]

MACHINE: dict[str, Callable[[], Finding]] = {
    "Python": machine.python,
    "packages": machine.packages,
    "GPU": machine.gpu,
}
CHECKOUT: dict[str, Check] = {
    "disk": checkout.disk,
    "weights": checkout.weights,
    "data": checkout.data,
    "tracking store": checkout.store,
    "registry": checkout.registered,
}
SETTINGS = "params.yaml"
NAME_WIDTH = max(map(len, [*MACHINE, *CHECKOUT, SETTINGS]))
MARK_WIDTH = max(map(len, MARKS))


def examine() -> Iterator[tuple[str, Finding]]:
    """The name of each thing with what was found, in the order in which one would mend them.

    Raises ConfigError outside of a checkout.
    """
    if not PARAMS_FILE.exists():
        load_params()
    for name, look in MACHINE.items():
        yield name, look()
    try:
        params = load_params()
    except ConfigError as error:
        yield SETTINGS, wrong(f"{error}; {', '.join(CHECKOUT)} were not looked at", "")
        return
    yield SETTINGS, ok(f"{len(params.models)} rows under {', '.join(params.protocols)}; data set '{params.fetch.name}'")
    for name, check in CHECKOUT.items():
        try:
            yield name, check(params)
        except LeukoscopeError as error:
            yield name, wrong(str(error), "")


def line(name: str, finding: Finding) -> str:
    """A thing's line, and a second one with the command that mends it."""
    head = f"{finding.mark:<{MARK_WIDTH}}  {name:<{NAME_WIDTH}}  "
    words = finding.words.replace("\n", "\n" + " " * len(head))
    return head + words + (f"\n{' ' * len(head)}-> {finding.mend}" if finding.mend else "")
