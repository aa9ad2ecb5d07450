"""Flags as settings of the core, and the executors that follow from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kmsched.core.shares import Flavour
from kmsched.daemon.settings import core_settings
from tests.daemon.processes import SHA, settings


def test_settings_reach_the_core(tmp_path: Path) -> None:
    made = settings(tmp_path, "--scheduler-name=mine", "--offer-ttl=7s")
    daemon_settings = replace(made, refuse_s=3.0)
    core = core_settings(daemon_settings, {"km-path": SHA})
    assert (core.scheduler_name, core.offer_ttl_s, core.refuse_s) == ("mine", 7.0, 3.0)
    assert core.executor_resources.cpus == 250
    assert core.executor_resources.mem == 256_000
    assert core.executor_id.startswith("km-")
    assert (core.roles, core.pod_roles, core.role, core.maps_ports) == (("*",), ("*",), "*", False)
    assert not core.other_flavours


def test_an_executor_has_an_id_for_each_part_of_the_offers_that_may_hold_it(tmp_path: Path) -> None:
    roles = ("--mesos-role=web", "--mesos-framework-roles=web,*", "--host-port-endpoints")
    core = core_settings(settings(tmp_path, *roles), {"km-path": SHA})
    assert (core.roles, core.pod_roles, core.maps_ports) == (("web", "*"), ("web",), True)
    reserved = Flavour("web", '[{"role":"web","type":"STATIC"}]')
    assert set(core.other_flavours) == {Flavour("*"), reserved}
    for flavour in (Flavour("web"), Flavour("*"), reserved):
        assert core.flavour_of(core.id_of(flavour)) == flavour
    assert core.id_of(Flavour("web")) == core.executor_id
