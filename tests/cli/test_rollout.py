"""`km rollout`: which fingerprints may lead, in a modelled etcd."""

from __future__ import annotations

import pytest

from kmsched.cli import km
from kmsched.cli.rollout import allow, clear, look, whole
from kmsched.errors import Mismatched, UsageError
from tests.cli.test_framework import Tools, play, put
from tests.clients.etcd_model import EtcdModel
from tests.virtual_time import VirtualClock

OLD, NEW, OTHER = "a" * 64, "b" * 64, "ab" * 32
MEMBER = {
    "schema": 1,
    "instance": "s2",
    "boot_id": "b",
    "url": "http://10.0.0.2:1",
    "home": "s2:/var",
    "role": "standby",
    "is_synced": True,
    "fingerprint": NEW,
    "version": "0",
    "lease_id": "1",
}


def test_a_beginning_is_enough_when_it_means_one() -> None:
    known = [OLD, NEW, OTHER]
    assert whole(OLD, []) == OLD
    assert whole("b" * 8, known) == NEW
    assert whole("km-" + "b" * 16, known) == NEW
    for text, words in (("a" * 7, "is no fingerprint"), ("x" * 64, "is no"), ("c" * 8, "of 0"), ("a" * 8, "")):
        if words:
            with pytest.raises(UsageError, match=words):
                whole(text, known)
        else:
            assert whole(text, known) == OLD
    with pytest.raises(UsageError, match="of 2 fingerprints"):
        whole("ab" * 4, [OTHER, "ab" * 31 + "cd"])


def test_allowing_showing_and_clearing() -> None:
    async def story(model: EtcdModel, tools: Tools) -> None:
        clock = VirtualClock()
        put(model, "fingerprint", {"schema": 1, "revision": 1, "value": OLD})
        put(model, "members/s2", MEMBER)
        # what leads goes on to
        put(model, "leader", {"schema": 1})
        found = await look(tools.place, tools.make, clock)
        assert (found.fingerprint, found.allowed, found.members) == (OLD, (), {"s2": NEW})
        with pytest.raises(Mismatched, match="the group's fingerprint is aaa"):
            await allow(tools.place, NEW, OLD, tools.make, clock)
        assert (await allow(tools.place, "a" * 8, "b" * 8, tools.make, clock)).allowed == (OLD, NEW)
        assert (await look(tools.place, tools.make, clock)).allowed == (OLD, NEW)
        # a play that was broken off is run again, from hosts that have the new one, and when that one leads
        for leads in (OLD, NEW):
            put(model, "fingerprint", {"schema": 1, "revision": 1, "value": leads})
            for again in ((NEW, NEW), (OLD, NEW)):
                assert (await allow(tools.place, *again, tools.make, clock)).allowed == (OLD, NEW)
        with pytest.raises(Mismatched, match="the group's fingerprint is bbb"):
            await allow(tools.place, OLD, OTHER, tools.make, clock)
        assert (await clear(tools.place, tools.make, clock)).allowed == ()
        assert (await clear(tools.place, tools.make, clock)).allowed == ()

    play(story)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        (["show"], 10, "a rollout is for schedulers with --ha"),
        (["clear"], 10, "a rollout is for schedulers with --ha"),
        (["allow", OLD], 2, "write km rollout allow FROM TO"),
        (["allow", OLD, NEW], 10, "a rollout is for schedulers with --ha"),
    ],
)
def test_what_is_refused(line: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert km.run(["rollout", *line]) == code
    assert words in capsys.readouterr().err
