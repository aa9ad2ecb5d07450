"""`km whatif`: which pods would go where, and why not elsewhere, without any server.

Knows options and output.  Files are read and judged by `kmsched.whatif`.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

import click
import msgspec

from kmsched import flags
from kmsched.cli.ask import NONE, table
from kmsched.core.model import Settings
from kmsched.core.resources import MILLI
from kmsched.errors import EXIT_MISMATCH, EXIT_OK, ConfigRefused, UsageError
from kmsched.flag_table import BY_NAME
from kmsched.values import Kind

if TYPE_CHECKING:
    from kmsched.whatif.placing import Answer

STDIN = "-"
COLUMNS = ("POD", "NODE", "")
#: of the scheduler, with the same defaults
FLAGS = ("placement", "default-container-cpu-limit", "default-container-mem-limit", "allow-privileged")
F = TypeVar("F", bound=Callable[..., Any])


def with_flags(command: F) -> F:
    """Those flags of the scheduler, as `chosen`: name -> value."""

    @functools.wraps(command)
    def called(*args: Any, **options: Any) -> Any:
        chosen = {name: flags.value_of(BY_NAME[name], options.pop(BY_NAME[name].key)) for name in FLAGS}
        return command(*args, chosen=chosen, **options)

    for name in reversed(FLAGS):
        flag = BY_NAME[name]
        choices = ("true", "false") if flag.kind is Kind.BOOL else flag.choices
        metavar = "|".join(choices) if choices else flag.kind.value.upper()
        called = click.option(
            f"--{name}", flag.key, default=flag.default, show_default=True, metavar=metavar, help=flag.help
        )(called)
    return cast(F, called)


@click.command()
@click.option("--nodes", type=click.Path(path_type=Path), help="File of Nodes: a List, objects; JSON or YAML.")
@click.option("--pods", type=click.Path(path_type=Path), help="File of pods, pending and bound ones.")
@with_flags
@click.option("--strict", is_flag=True, help="Exit with code 14 if a pod finds no place.")
@click.option("--verdicts", is_flag=True, help="Judge each line of SOURCE, and each pod on its own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("source", required=False)
def whatif(
    nodes: Path | None,
    pods: Path | None,
    chosen: Mapping[str, Any],
    strict: bool,
    verdicts: bool,
    as_json: bool,
    source: str | None,
) -> int:
    """Tell where pods would go, and why not elsewhere, without any server.

    With --nodes and --pods, the pods that are bound to no Node are placed together, as one cycle of the scheduler
    would: every Node stands for an agent that runs our executor and offers all that the pods there have left.

    With --verdicts, SOURCE (a file, or - for standard input) has on each line a JSON object
    {"nodes": [Node], "pods": [bound Pod], "pending": [Pod]}; each is answered by a line with a JSON array, which has
    for each pending pod an object {"<node>": "" or "<Filter>: <reason>"}.
    """
    if verdicts:
        if source is None or nodes is not None or pods is not None:
            raise UsageError("--verdicts needs SOURCE alone: a file of JSON lines, or - for standard input")
        _judge(source)
        return EXIT_OK
    if nodes is None or pods is None or source is not None:
        raise UsageError("km whatif needs --nodes FILE and --pods FILE, or --verdicts SOURCE; give one of these")
    answers = _place(nodes, pods, chosen)
    if as_json:
        click.echo(json.dumps({"pods": [_as_json(each) for each in answers], **_counted(answers)}, indent=2))
    else:
        click.echo("\n".join(_lines(answers)))
    return EXIT_MISMATCH if strict and _counted(answers)["waiting"] else EXIT_OK


def _place(node_file: Path, pod_file: Path, chosen: Mapping[str, Any]) -> list[Answer]:
    from kmsched.whatif.files import read_nodes, read_pods
    from kmsched.whatif.placing import lost, place, unknown
    from kmsched.wire.kube import Defaults

    defaults = Defaults(
        cpu_millis=round(chosen["default-container-cpu-limit"] * MILLI),
        mem_milli=chosen["default-container-mem-limit"] * MILLI,
    )
    nodes, pods = read_nodes(node_file), read_pods(pod_file, defaults)
    for name, count in sorted(lost(nodes, pods).items()):
        click.echo(f"km: {name} has {count} of the pods, but {node_file} lacks it: they count nowhere", err=True)
    for name in unknown(nodes):
        click.echo(f"km: {name} has no kubelet yet, so what it has is not known: nothing is placed there", err=True)
    settings = Settings(executor_id="", placement=chosen["placement"], allow_privileged=chosen["allow-privileged"])
    return place(nodes, pods, settings)


def _lines(answers: Sequence[Answer]) -> Iterator[str]:
    """A line for each pod, and one that counts them."""
    rows = [COLUMNS]
    for each in answers:
        rows.append((each.pod, each.node or NONE, "was there" if each.was_bound else each.why))
    yield from table(rows)
    yield ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in _counted(answers).items() if count)


def _counted(answers: Sequence[Answer]) -> dict[str, int]:
    kinds = Counter(map(_kind, answers))
    return {kind: kinds[kind] for kind in ("placed", "waiting", "were_bound", "ended")}


def _kind(answer: Answer) -> str:
    if answer.was_bound:
        return "were_bound"
    return "placed" if answer.node else "ended" if answer.has_ended else "waiting"


def _as_json(answer: Answer) -> dict[str, Any]:
    return {
        "pod": answer.pod,
        "node": answer.node or None,
        "was_bound": answer.was_bound,
        "reason": answer.why,
        "nodes": dict(answer.vetoes),
    }


def _judge(source: str) -> None:
    if source == STDIN:
        if sys.stdin is None:
            raise ConfigRefused("standard input is closed; write JSON lines to it")
        _answer(sys.stdin.buffer, "standard input")
        return
    try:
        with Path(source).open("rb") as lines:
            _answer(lines, source)
    except OSError as error:
        raise ConfigRefused(f"cannot read {source!r}: {error.strerror}; name a file of JSON lines, or -") from None


def _answer(lines: BinaryIO, where: str) -> None:
    """Each answer is out before the next line is read: whoever asks may wait for it."""
    from kmsched.whatif.verdicts import answers

    out = sys.stdout.buffer
    for each in answers(lines, where):
        out.write(msgspec.json.encode(each) + b"\n")
        out.flush()
