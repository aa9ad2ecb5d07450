"""Downloads the egg of a requirement into a folder and prints its path.

Runs in a virtual environment with setuptools older than 66: pip refuses eggs, that index client still takes them.
Usage: fetch_egg.py REQUIREMENT FOLDER
"""

import os
import sys

from pkg_resources import Requirement  # type: ignore[import-not-found,import-untyped,unused-ignore]
from setuptools.package_index import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    PackageIndex,
)


def main() -> None:
    requirement, folder = sys.argv[1:]
    where = {"index_url": index} if (index := os.environ.get("PIP_INDEX_URL")) else {}
    client = PackageIndex(search_path=[], platform="linux-x86_64", python="2.7", **where)
    found = client.fetch_distribution(Requirement.parse(requirement), folder)
    if found is None:
        sys.exit(f"no egg of {requirement} in the package index")
    print(found.location)


main()
