"""What is taken of which part of the offers."""

from __future__ import annotations

from msgspec import structs

from kmsched.core.resources import Resources
from kmsched.core.shares import Flavour, Share, charged, pool_of, released, take

EXECUTOR = Resources(cpus=100, mem=100_000)
FREE = Share("", Resources(cpus=1000, mem=1_000_000), ((31000, 31009),))
WEB = Share("web", Resources(cpus=300, mem=500_000), ((80, 80),))


def test_parts_that_are_reserved_alike_are_one_and_reserved_ones_come_first() -> None:
    pool = pool_of("web", (FREE, WEB, structs.replace(WEB, ports=((81, 82),))))
    assert pool.shares == (Share("web", Resources(cpus=600, mem=1_000_000), ((80, 82),)), FREE)
    assert pool.amount == Resources(cpus=1600, mem=2_000_000)
    assert pool.ports == ((80, 82), (31000, 31009))


def test_a_task_takes_what_is_reserved_before_what_is_anybodys() -> None:
    taken, left = take((WEB, FREE), Resources(cpus=500, mem=200_000, pods=1), (80, 31003))
    assert taken == (
        Share("web", Resources(cpus=300, mem=200_000), ((80, 80),)),
        Share("", Resources(cpus=200), ((31003, 31003),)),
    )
    assert left == (
        Share("web", Resources(mem=300_000)),
        Share("", Resources(cpus=800, mem=1_000_000), ((31000, 31002), (31004, 31009))),
    )


def test_of_a_part_that_has_nothing_wanted_nothing_is_taken() -> None:
    disk = Share("web", Resources(disk=5))
    taken, left = take((disk, FREE), Resources(cpus=10, pods=1), ())
    assert (taken, left[0]) == ((Share("", Resources(cpus=10)),), disk)


def test_an_executor_is_of_one_part_and_of_nobodys_before() -> None:
    pool = pool_of("web", (WEB, FREE))
    both = [Flavour("web"), Flavour("web", "web")]
    with_it = charged(pool, EXECUTOR, both)
    assert (with_it.executor, with_it.shares[1].amount.cpus) == (Flavour("web"), 900)
    assert with_it.amount == pool.amount.minus(EXECUTOR)
    assert released(with_it, EXECUTOR) == pool
    reserved = charged(pool, EXECUTOR, [Flavour("web", "web")])
    assert (reserved.executor, reserved.shares[0].amount.cpus) == (Flavour("web", "web"), 200)
    assert released(reserved, EXECUTOR) == pool


def test_an_executor_that_fits_into_no_part_is_charged_to_all_so_that_the_shortage_can_be_told() -> None:
    pool = pool_of("web", (Share("", Resources(cpus=60, mem=60_000)), Share("web", Resources(cpus=60, mem=90_000))))
    without_it = charged(pool, EXECUTOR, [Flavour("web"), Flavour("web", "web")])
    assert (without_it.executor, without_it.has_room) == (None, False)
    assert without_it.amount == Resources(cpus=20, mem=50_000)
    assert released(without_it, EXECUTOR) == pool


def test_an_executor_is_never_of_a_part_that_could_not_be_named_again() -> None:
    dynamic = pool_of("web", (Share("dynamic, with labels", FREE.amount),))
    assert not charged(dynamic, EXECUTOR, [Flavour("web"), Flavour("web", "web")]).has_room
