"""DataNodes that failed are named to NameNodes in the one form that they know."""

from __future__ import annotations

from kmsched.clients.datanodes import BadDataNodes, addresses_of


def test_bad_ones_are_known_by_their_server_and_left_out_by_address() -> None:
    bad = BadDataNodes(lambda host: {"a.example": ["10.0.0.1", "10.0.0.2"]}.get(host, [host]))
    assert (bool(bad), bad.excluded(), bad.has("http://a.example:9864/x")) == (False, {}, False)
    bad.add("http://a.example:9864/webhdfs/v1/x?op=OPEN", "it hangs")
    bad.add("http://10.0.0.3:9864/", "gone")
    bad.add("", "nobody knows which")
    assert bad.excluded() == {"excludedatanodes": "10.0.0.1,10.0.0.2,10.0.0.3"}
    assert bad.has("http://a.example:9864/other")
    assert not bad.has("http://a.example:9865/other")
    assert (bad.count, bad.last) == (3, "nobody knows which")
    bad.forget()
    assert (bool(bad), bad.excluded(), bad.count) == (False, {}, 3)


def test_addresses() -> None:
    assert addresses_of("127.0.0.1") == ["127.0.0.1"]
    assert addresses_of("no such host") == ["no such host"]


def test_what_cannot_be_asked_is_left_out() -> None:
    bad = BadDataNodes(lambda host: [host])
    for url in ("http://[::1/x", "http://", "x"):
        bad.add(url, "it is no address")
        assert not bad.has(url)
    assert (bad.count, bad.excluded()) == (3, {})
