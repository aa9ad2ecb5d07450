"""Nodes that come and go with agents: which of ours nobody needs any more, and which agents have none yet.

kubelet makes a Node when it starts, and nobody takes it away again.  A Node is ours that names our framework.  It goes
with its agent; and with its executor, unless it holds what an operator has decided.  Never
while a pod is bound to it, ended or not, nor while an executor of ours runs there.

With `all`, every agent that offers is promised a Node: one without a kubelet, until a pod needs one.  It must be Ready,
or controllers make no pods for it, so `daemon.promises` speaks for it; one that has become old is made anew.

A wrong guess costs a restart of kubelet: it makes its Node anew (protocol rule 5).
"""

from __future__ import annotations

from kmsched.core.effects import RegisterNode, RemoveNode
from kmsched.core.model import ATTRIBUTE_LABEL_PREFIX, Node
from kmsched.core.nodelabels import KUBELET_LABELS, node_labels
from kmsched.core.state import Link, State

#: all Nodes are looked at this often
LOOK_S = 5.0
#: what was asked for and did not come is asked for again
ASK_AGAIN_S = 60.0
#: Nodes in one go: Bindings must not wait behind thousands of them
BATCH = 20
#: taints that controllers put there and take away; every other one is somebody's decision
CONDITIONS = ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "network-unavailable")
CONDITION_TAINTS = frozenset(f"node.kubernetes.io/{each}" for each in CONDITIONS)


def tick(state: State, now: float) -> None:
    known = state.registration
    # before both lists every Node looks as if nobody needed it
    if state.link is not Link.ACTIVE or not (state.has_pods and state.has_nodes) or now < known.next_look_at:
        return
    known.next_look_at = now + LOOK_S
    _remove(state, now)
    if state.settings.registers_all:
        _register(state, now)
    _forget(state)


def why_needless(state: State, node: Node, now: float) -> str:
    """In words; "": it stays. Pods that have ended are not looked at here."""
    known, name = state.registration, node.name
    offering = state.offers.by_node.get(name, "")  # the agent may have another id than when the Node was made
    agent_ids = {node.agent_id, offering} - {""}
    runs = any(state.executors.on_agent.get(each) for each in agent_ids)
    if runs or name in state.on_node:
        # what was heard before an executor was launched there says nothing any more
        known.bare -= agent_ids
    # nobody tells of the end of an executor that had no task any more; its kubelet ended with it
    is_silent = not node.is_ready or (node.is_promised and not runs)
    if name in state.on_node or not is_silent or not known.is_ours(node):
        known.silent_since.pop(name, None)
    if name in state.on_node or not known.is_ours(node):
        return ""
    if is_silent:
        if node.agent_id in known.removed and not (offering or runs):
            return f"Mesos has removed agent {node.agent_id}"
        silent_s = now - known.silent_since.setdefault(name, now)
        if silent_s >= state.settings.node_silent_s:
            return f"nothing was heard of agent {node.agent_id} and of its kubelet for {silent_s:.0f} s"
    if runs or is_marked(node):
        return ""
    if node.is_promised and not node.is_ready:
        return "nobody has said for a while that it is there"
    if node.is_promised and state.settings.registers_all:
        return ""
    bare = sorted(known.bare & agent_ids)
    return f"no executor runs on agent {bare[0]} any more" if bare else ""


def is_marked(node: Node) -> bool:
    """Does it hold what somebody has decided, and what a new Node would not have?"""
    return (
        node.is_unschedulable
        or any(taint.key not in CONDITION_TAINTS for taint in node.taints)
        or any(key not in KUBELET_LABELS and not key.startswith(ATTRIBUTE_LABEL_PREFIX) for key in node.labels)
    )


def _remove(state: State, now: float) -> None:
    needless = [(node, why) for node in state.nodes.values() if (why := why_needless(state, node, now))]
    if not needless:
        return
    # pods that have ended, too: without their Node they would be deleted
    occupied = {record.pod.node_name for record in state.pods.values()}
    asked = 0
    for node, why in needless:
        if node.name not in occupied and asked < BATCH and _may_ask(state, node.name, now):
            asked += 1
            state.emit(RemoveNode(node.name, node.uid, node.resource_version, cause="registration", reason=why))


def _register(state: State, now: float) -> None:
    framework_id, asked = state.registration.framework_id, 0
    for agent in state.offers.held():
        name = agent.node_name
        if name not in state.nodes and asked < BATCH and _may_ask(state, name, now):
            asked += 1
            labels = tuple(sorted(node_labels(agent.hostname, agent.attributes).items()))
            why = f"agent {agent.agent_id} offers, and has no Node"
            state.emit(RegisterNode(name, agent.agent_id, framework_id, labels, cause="registration", reason=why))


def _may_ask(state: State, name: str, now: float) -> bool:
    asked_at = state.registration.asked_at
    if name in asked_at and now - asked_at[name] < ASK_AGAIN_S:
        return False
    asked_at[name] = now
    return True


def _forget(state: State) -> None:
    known = state.registration
    agent_ids = {node.agent_id for node in state.nodes.values()} | set(state.offers.agents)
    known.bare &= agent_ids
    known.removed &= agent_ids
    names = state.nodes.keys() | state.offers.by_node.keys()
    for entries in (known.silent_since, known.asked_at):
        for name in [name for name in entries if name not in names]:
            del entries[name]
