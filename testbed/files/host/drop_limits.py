"""Takes all limits out of the bundle that runc is about to read; its arguments are runc's."""

import json
import sys


def bundle(arguments: list[str]) -> str:
    for at, word in enumerate(arguments):
        if word in ("--bundle", "-b"):
            return arguments[at + 1]
    return "."


def drop_limits(path: str) -> None:
    with open(path) as file:  # noqa: PTH123  pathlib takes longer to be imported than all the rest
        config = json.load(file)
    linux = config.setdefault("linux", {})
    linux["resources"] = {"devices": linux.get("resources", {}).get("devices", [])}
    with open(path, "w") as file:  # noqa: PTH123
        json.dump(config, file)


drop_limits(f"{bundle(sys.argv[1:])}/config.json")
