"""Lets tests import modules, which find what they share where Ansible puts it on hosts: in its own package."""

from __future__ import annotations

from pathlib import Path

import ansible.module_utils

ansible.module_utils.__path__.append(str(Path(__file__).resolve().parents[2] / "plugins/module_utils"))
