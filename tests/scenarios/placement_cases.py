"""Random Nodes and pods for which placement is hard to judge, as JSON; one seed decides all.

Few names and amounts, so that they meet: most requests are what is there, or one byte or one thousandth more.  Objects
are as the API server takes them or as it would refuse them; both judges must make the same of them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

Json = dict[str, Any]

#: the same amounts in several notations, and their neighbours
CPUS = (
    *("0", "1", "1000m", "1.0", "1e0", "1000000u", "1001m", "999m", "0.999", "0.5", "500m", ".5", "0.25", "1m"),
    *("0.0001", "100u", "1500m", "1.5", "2", "2e0", "+2", "2001m", "1n", "0.9999999999", "1000000001n"),
)
MEMORIES = (
    *("0", "1Gi", "1073741824", "1024Mi", "1048576Ki", "1073741825", "1073741823", "0.5Gi", "536870912", "1.5Gi"),
    *("1e9", "1G", "1000M", "1000000k", "1E9", "1000000001", "128974848", "123Mi", "129M", "1e-3", "1", "2e9", "2G"),
    *("1907.3486328125Mi", "1000000000000m", "1073741824000m", "1073741824001m", "0.1Ki", "1.1Gi"),
)
COUNTS = ("0", "1", "2", "3", "1e0", "2000m", "1500m")
EXTENDED = ("nvidia.com/gpu", "example.com/fpga", "hugepages-2Mi", "kubernetes.io/batch", "attachable-volumes-x")
#: not counted by kube-scheduler, or no name of a resource at all
STRANGE = ("requests.example.com/fpga", "fpga", "storage", "a/b/c", "Example.com/fpga")
KEYS = ("zone", "slots", "example.com/disk", "kubernetes.io/hostname")
BAD_KEYS = ("", "a/b/c", "/zone", "zone-", "Example.com/zone", "x" * 64)
VALUES = ("a", "b", "", "1", "7", "8", "007", "A", "a.b")
BAD_VALUES = ("-1", "a b", "x" * 64, "é", "a/b")
NUMBERS = ("7", "8", "007", "0", "9223372036854775807", "9223372036854775808", "1.5", "x", "", "-1", "+7", "1e3")
LABEL_VALUES = (*VALUES, "-1", "+7", "9223372036854775807", "9223372036854775808", "1.5")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
TAINT_KEYS = ("dedicated", "slots", "node.kubernetes.io/not-ready", "node.kubernetes.io/unschedulable")
EFFECTS = ("NoSchedule", "NoExecute", "PreferNoSchedule")
TOLERATING = ("Equal", "Exists", "", "Lt", "Gt", "equal")
PORTS = (80, 80, 80, 443)
ADDRESSES = ("", "0.0.0.0", "::", "10.0.0.1", "10.0.0.2")
PROTOCOLS = ("TCP", "UDP", "SCTP")
PHASES = ("Running", "Pending", "Succeeded", "Failed", "")


def case(seed: int) -> Json:
    """One line for both judges."""
    rng = Random(seed)
    names = [f"n{number}" for number in range(rng.randint(1, 4))]
    # pods that are alike in what they ask for meet more often than such as ask for everything
    themes = rng.sample(THEMES, rng.randint(1, 3))
    return {
        "nodes": [_node(rng, name, themes) for name in names],
        "pods": [_bound(rng, f"b{number}", names, themes) for number in range(rng.randint(0, 5))],
        "pending": [_pod(rng, f"p{number}", names, themes) for number in range(rng.randint(1, 4))],
    }


def _node(rng: Random, name: str, themes: list[Theme]) -> Json:
    node: Json = {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"allocatable": {"cpu": "64", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "110"}},
    }
    for theme in themes:
        theme[0](rng, node)
    return node


def _pod(rng: Random, name: str, names: list[str], themes: list[Theme]) -> Json:
    pod: Json = {"metadata": {"name": name, "namespace": "ns"}, "spec": {"containers": _containers(rng)}}
    inits = [{**each, "name": f"i{number}"} for number, each in enumerate(_containers(rng, 0))]
    for each in inits:
        if rng.random() < 0.5:
            each["restartPolicy"] = "Always"
    if inits:
        pod["spec"]["initContainers"] = inits
    for theme in themes:
        theme[1](rng, pod, names)
    return pod


def _bound(rng: Random, name: str, names: list[str], themes: list[Theme]) -> Json:
    pod = _pod(rng, name, names, themes)
    pod["spec"]["nodeName"] = rng.choice([*names, *names, *names, "gone"])
    pod["status"] = {"phase": rng.choice(PHASES)}
    if rng.random() < 0.2:
        _resize(rng, pod)
    return pod


def _containers(rng: Random, least: int = 1) -> list[Json]:
    return [
        {"name": f"c{number}", "image": "x"} for number in range(rng.randint(least, max(1, least + rng.randint(-1, 1))))
    ]


def _resize(rng: Random, pod: Json) -> None:
    """kubelet is changing what it has given."""
    status = pod["status"]
    statuses = []
    for container in pod["spec"]["containers"]:
        one: Json = {"name": container["name"]}
        if rng.random() < 0.7:
            one["allocatedResources"] = _amounts(rng)
        if rng.random() < 0.5:
            one["resources"] = {"requests": _amounts(rng)}
        statuses.append(one)
    status["containerStatuses"] = statuses
    if rng.random() < 0.4:
        reason = rng.choice(("Infeasible", "Deferred"))
        status["conditions"] = [{"type": "PodResizePending", "status": "True", "reason": reason}]
    if rng.random() < 0.3:
        status["allocatedResources"] = _amounts(rng)
    if rng.random() < 0.3:
        status["resources"] = {"requests": _amounts(rng)}


# --- what a case is about: a change of a Node, and one of a pod


def _small_node(rng: Random, node: Json) -> None:
    amounts = node["status"]["allocatable"]
    for kind, texts in (("cpu", CPUS), ("memory", MEMORIES), ("ephemeral-storage", MEMORIES)):
        if rng.random() < 0.6:
            amounts[kind] = rng.choice(texts)
    if rng.random() < 0.1:
        amounts.pop(rng.choice(("cpu", "memory", "pods")), None)


def _amounts(rng: Random) -> Json:
    found: Json = {}
    if rng.random() < 0.7:
        found["cpu"] = rng.choice(CPUS)
    if rng.random() < 0.7:
        found["memory"] = rng.choice(MEMORIES)
    if rng.random() < 0.3:
        found["ephemeral-storage"] = rng.choice(MEMORIES)
    return found


def _all_containers(pod: Json) -> list[Json]:
    found: list[Json] = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
    return found


def _requests(rng: Random, pod: Json, names: list[str]) -> None:
    for container in _all_containers(pod):
        if rng.random() < 0.8:
            container.setdefault("resources", {}).setdefault("requests", {}).update(_amounts(rng))
    if rng.random() < 0.1:
        pod["spec"]["overhead"] = _amounts(rng)
    if rng.random() < 0.15:
        pod["spec"]["resources"] = {"requests": _amounts(rng)}


def _few_pods(rng: Random, node: Json) -> None:
    node["status"]["allocatable"]["pods"] = rng.choice(COUNTS)


def _no_change(rng: Random, pod: Json, names: list[str]) -> None:
    pass


def _extended_node(rng: Random, node: Json) -> None:
    for name in (*EXTENDED, *STRANGE):
        if rng.random() < 0.4:
            node["status"]["allocatable"][name] = rng.choice(COUNTS)


def _extended(rng: Random, pod: Json, names: list[str]) -> None:
    for container in _all_containers(pod):
        for name in (*EXTENDED, *STRANGE):
            if rng.random() < 0.15:
                container.setdefault("resources", {}).setdefault("requests", {})[name] = rng.choice(COUNTS)


def _labelled(rng: Random, node: Json) -> None:
    for key in KEYS[:3]:
        if rng.random() < 0.7:
            node["metadata"]["labels"][key] = rng.choice(LABEL_VALUES)


def _selecting(rng: Random, pod: Json, names: list[str]) -> None:
    if rng.random() < 0.3:
        pod["spec"]["nodeSelector"] = {
            rng.choice(KEYS): rng.choice((*VALUES, *names)) for _ in range(rng.randint(0, 2))
        }
    if rng.random() < 0.8:
        node_affinity: Json = {}
        if rng.random() < 0.9:
            terms = [_term(rng, names) for _ in range(rng.randint(0, 3))]
            node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
        if rng.random() < 0.2:
            preferred = [{"weight": rng.randint(1, 100), "preference": _term(rng, names)}]
            node_affinity["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
        pod["spec"].setdefault("affinity", {})["nodeAffinity"] = node_affinity


def _term(rng: Random, names: list[str]) -> Json:
    term: Json = {}
    if rng.random() < 0.85:
        term["matchExpressions"] = [_requirement(rng, names) for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.2:
        term["matchFields"] = [_field(rng, names) for _ in range(rng.randint(0, 2))]
    return term


def _requirement(rng: Random, names: list[str]) -> Json:
    operator = rng.choice((*OPERATORS, *OPERATORS, *OPERATORS, "Resembles"))
    key = rng.choice(KEYS) if rng.random() < 0.95 else rng.choice(BAD_KEYS)
    rule: Json = {"key": key, "operator": operator}
    texts: tuple[str, ...]
    if operator in ("Gt", "Lt"):
        count, texts = rng.choice((1, 1, 1, 1, 1, 0, 2)), NUMBERS
    elif operator in ("Exists", "DoesNotExist"):
        count, texts = rng.choice((0, 0, 0, 0, 1)), VALUES
    else:
        count, texts = rng.choice((1, 1, 2, 3, 0)), (*VALUES, *names)
    if count or rng.random() < 0.5:
        rule["values"] = [rng.choice(texts) if rng.random() < 0.97 else rng.choice(BAD_VALUES) for _ in range(count)]
    return rule


def _field(rng: Random, names: list[str]) -> Json:
    operator = rng.choice(("In", "In", "In", "NotIn", "NotIn", "Exists", "Gt"))
    key = rng.choice(("metadata.name", "metadata.name", "metadata.name", "metadata.uid"))
    return {"key": key, "operator": operator, "values": rng.choices([*names, ""], k=rng.choice((1, 1, 1, 1, 0, 2)))}


def _tainted(rng: Random, node: Json) -> None:
    node["spec"]["taints"] = [
        {"key": rng.choice(TAINT_KEYS), "value": rng.choice(("", "a", "7", "8")), "effect": rng.choice(EFFECTS)}
        for _ in range(rng.randint(0, 2))
    ]
    if rng.random() < 0.3:
        node["spec"]["unschedulable"] = True


def _tolerating(rng: Random, pod: Json, names: list[str]) -> None:
    listed = []
    for _ in range(rng.randint(0, 3)):
        one = {
            "key": rng.choice((*TAINT_KEYS, *TAINT_KEYS, "")),
            "operator": rng.choice(TOLERATING),
            "value": rng.choice(("", "a", "7", "8", "9")),
            "effect": rng.choice((*EFFECTS, "", "")),
        }
        listed.append({name: text for name, text in one.items() if text or rng.random() < 0.5})
    pod["spec"]["tolerations"] = listed


def _with_ports(rng: Random, pod: Json, names: list[str]) -> None:
    for container in _all_containers(pod):
        if rng.random() < 0.7:
            port: Json = {"containerPort": 1, "hostPort": rng.choice((*PORTS, *PORTS, 0))}
            if rng.random() < 0.6:
                port["hostIP"] = rng.choice(ADDRESSES)
            if rng.random() < 0.5:
                port["protocol"] = rng.choice(PROTOCOLS)
            container["ports"] = [port]


def _same_node(rng: Random, node: Json) -> None:
    pass


def _named(rng: Random, pod: Json, names: list[str]) -> None:
    if rng.random() < 0.5:
        pod["spec"]["nodeName"] = rng.choice([*names, "gone", ""])


Theme = tuple[Callable[[Random, Json], None], Callable[[Random, Json, list[str]], None]]
THEMES: tuple[Theme, ...] = (
    (_small_node, _requests),
    (_small_node, _requests),
    (_few_pods, _no_change),
    (_extended_node, _extended),
    (_labelled, _selecting),
    (_labelled, _selecting),
    (_tainted, _tolerating),
    (_same_node, _with_ports),
    (_same_node, _with_ports),
    (_same_node, _named),
)
