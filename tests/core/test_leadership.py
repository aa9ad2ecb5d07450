from __future__ import annotations

import pytest

from kmsched.core import leadership as leading
from kmsched.core.leadership import TABLE, Fact, ImpossibleFact, Leadership, Role

#: what cannot happen, and so raises: only who leads can be subscribed, and nobody wins twice
IMPOSSIBLE = {
    (Role.STANDBY, Fact.SUBSCRIBED),
    (Role.STANDBY, Fact.SETTLED),
    (Role.ELECTED, Fact.WON),
    (Role.ELECTED, Fact.SETTLED),
    (Role.RECONCILING, Fact.WON),
    (Role.ACTIVE, Fact.WON),
    (Role.SUSPENDED, Fact.WON),
}
LEADING = (Role.ELECTED, Role.RECONCILING, Role.ACTIVE)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("fact", Fact)
def test_every_role_knows_every_fact_or_calls_it_impossible(role: Role, fact: Fact) -> None:
    before = Leadership(role, term=3, deadline=10.0)
    if (role, fact) in IMPOSSIBLE:
        with pytest.raises(ImpossibleFact, match=f"{fact.name} in role {role.name}"):
            leading.after(before, fact)
        return
    after = leading.after(before, fact)
    assert after.term == 3
    if role is Role.DEPOSED:
        assert after.role is Role.DEPOSED
    elif fact is Fact.YIELDED:
        assert after.role is Role.STANDBY
    elif fact in (Fact.LOST, Fact.RESIGNED):
        assert after.role is (Role.STANDBY if role is Role.STANDBY else Role.DEPOSED)
    elif (fact is Fact.EXPIRED and role is not Role.STANDBY) or (role is Role.SUSPENDED and fact is not Fact.RENEWED):
        assert after.role is Role.SUSPENDED


def test_the_table_has_no_other_pairs() -> None:
    assert set(TABLE) == {(role, fact) for role in Role for fact in Fact} - IMPOSSIBLE


def test_the_way_of_a_leader() -> None:
    life = leading.elected(Leadership(), 7, renewed_at=100.0, renew_deadline_s=3.0)
    assert (life.role, life.term, life.deadline) == (Role.ELECTED, 7, 103.0)
    assert life.may_act(102.9)
    assert not life.may_act(103.0)
    life = leading.after(life, Fact.SUBSCRIBED)
    assert life.role is Role.RECONCILING
    life = leading.after(life, Fact.SETTLED)
    assert life.role is Role.ACTIVE
    life = leading.after(life, Fact.UNSUBSCRIBED, "the master is gone")
    assert (life.role, life.reason) == (Role.ELECTED, "the master is gone")


def test_a_late_answer_never_shortens_the_deadline() -> None:
    life = leading.elected(Leadership(), 7, renewed_at=100.0, renew_deadline_s=3.0)
    life = leading.renewed(life, 101.0, 3.0)
    assert leading.renewed(life, 100.5, 3.0).deadline == 104.0


def test_at_the_deadline_it_is_suspended_and_a_renewal_brings_it_back_to_reconcile() -> None:
    life = leading.after(leading.elected(Leadership(), 7, 100.0, 3.0), Fact.SUBSCRIBED)
    life = leading.after(life, Fact.SETTLED)
    assert leading.timed(life, 102.99) is life
    late = leading.timed(life, 103.5)
    assert late.role is Role.SUSPENDED
    assert late.reason == "no renewal came through in time, for 0.5 s beyond the limit"
    assert not late.may_act(101.0)
    assert leading.renewed(late, 104.0, 3.0).role is Role.RECONCILING


def test_who_was_not_subscribed_subscribes_after_a_suspension() -> None:
    life = leading.timed(leading.elected(Leadership(), 7, 100.0, 3.0), 200.0)
    assert leading.renewed(life, 201.0, 3.0).role is Role.ELECTED
    cut = leading.after(
        leading.timed(leading.after(leading.elected(Leadership(), 7, 0, 3), Fact.SUBSCRIBED), 9), Fact.UNSUBSCRIBED
    )
    assert leading.renewed(cut, 10.0, 3.0).role is Role.ELECTED


@pytest.mark.parametrize(("revision", "seen", "term"), [(5, 0, 5), (5, 4, 5), (5, 5, 6), (2, 90, 91)])
def test_a_term_is_above_all_before(revision: int, seen: int, term: int) -> None:
    assert leading.new_term(revision, seen) == term


def test_roles_that_lead() -> None:
    assert [role for role in Role if Leadership(role).is_leading] == list(LEADING)
