"""The `km` command: finds the subcommand, and turns every error into one line and an exit code.

Knows names of subcommands and nothing of their work; each is imported when it is asked for, so that `km --version`
needs neither aiohttp nor the daemon.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from kmsched import __version__
from kmsched.errors import EXIT_INTERNAL, EXIT_OK, EXIT_UNAVAILABLE, EXIT_USAGE, Fatal, KmError

#: subcommand -> where it is
COMMANDS = {
    "scheduler": "kmsched.cli.processes:scheduler",
    "executor": "kmsched.cli.processes:executor",
    "status": "kmsched.cli.ask:status",
    "explain": "kmsched.cli.explain:explain",
    "agents": "kmsched.cli.agents:agents",
    "offers": "kmsched.cli.offers:offers",
    "whatif": "kmsched.cli.whatif:whatif",
    "resign": "kmsched.cli.resign:resign",
    "doctor": "kmsched.cli.doctor:doctor",
    "manifests": "kmsched.cli.manifests:manifests_command",
    "fingerprint": "kmsched.cli.fingerprint:fingerprint",
    "flags": "kmsched.cli.settings:flags",
    "framework": "kmsched.cli.framework:framework",
    "rollout": "kmsched.cli.rollout:rollout",
    "artifacts": "kmsched.cli.artifacts:artifacts",
    "completion": "kmsched.cli.settings:completion",
    "version": "kmsched.cli.settings:version",
}


class LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from kmsched.cli.command import epilog

        formatter.write(f"\n{epilog()}\n")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="km %(version)s")
def km() -> None:
    """Kubernetes on Mesos: a scheduler that is a Mesos framework, and its executor."""


def run(arguments: Sequence[str], command: click.Command = km, name: str = "km") -> int:
    """Run one command line and return its exit code; errors go to stderr as `km: message`."""
    try:
        code: Any = command.main(args=list(arguments), prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        _say(error.format_message())
        return EXIT_USAGE
    except click.Abort:
        _say("interrupted")
        return 130
    except Fatal as error:
        _say(str(error))
        return error.exit_code
    except KmError as error:
        _say(str(error))
        return EXIT_UNAVAILABLE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as error:
        logging.getLogger("km").critical("unexpected error: %s", error, exc_info=True)
        _say(f"unexpected {type(error).__name__}: {error}; this is a fault in km, its traceback is in the log")
        return EXIT_INTERNAL
    return code if isinstance(code, int) else EXIT_OK


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def _say(message: str) -> None:
    click.echo(f"km: {' '.join(message.split())}", err=True)


if __name__ == "__main__":
    main()
