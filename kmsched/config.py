"""The scheduler's configuration: parsed flags that fit each other, then the machine they are to work on.

Knows which values contradict each other and refuses them; nothing is ever adjusted.  `build` looks at the flags
alone, `check_host` at files and folders, so that a flags file can be checked before the machine is ready.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from kmsched import flags, values
from kmsched.artifact_uri import without_digest
from kmsched.errors import ConfigRefused, UsageError
from kmsched.flags import Flag, Parsed
from kmsched.ha import HaConfig, ha_config, read_password
from kmsched.http_settings import HttpSettings, http_settings, read_tokens
from kmsched.small_file import small_text
from kmsched.values import Kind

WEEK_S = 7 * 24 * 3600.0
#: which flag names the km file that agents run
KM_FLAGS = ("km-path", "executor-path")
#: certificates for Mesos
MESOS_FILES = ("mesos-ca-file", "mesos-cert-file", "mesos-key-file")
#: lists of servers that become URLs of https
API_LISTS = ("api-servers", "kubelet-api-servers")


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """Every setting of `km scheduler`, checked. Durations in seconds, memory in MiB, CPUs in thousandths."""

    mesos_masters: tuple[str, ...]  # URLs without a path, like http://host:5050
    mesos_user: str
    mesos_role: str
    mesos_roles: tuple[str, ...]  # whose offers are taken; `mesos_role` is one of them
    mesos_pod_roles: tuple[str, ...]  # of pods that name none; some of them
    mesos_principal: str | None
    mesos_secret_file: str | None
    mesos_ca_file: str | None
    mesos_cert_file: str | None
    mesos_key_file: str | None
    checkpoint: bool
    failover_timeout_s: float
    framework_name: str
    framework_weburi: str | None
    api_servers: tuple[str, ...]  # URLs; empty: those of the kubeconfig
    kubeconfig: str | None
    scheduler_name: str
    state_dir: Path
    address: str
    port: int
    handover_timeout_s: float
    hostname: str | None  # None: the host's own
    executor_cpus_milli: int
    executor_mem_mib: int
    executor_launch_grace_period_s: float
    agent_idle_timeout_s: float
    executor_shutdown_grace_period_s: float
    placement: str
    offer_ttl_s: float
    refuse_s: float
    launch_timeout_s: float
    reconcile_interval_s: float
    maps_ports: bool
    registers_all: bool
    default_cpus_milli: int
    default_mem_mib: int
    allow_privileged: bool
    profiling: bool
    log_format: str
    log_level: str
    #: None: one scheduler, alone
    ha: HaConfig | None = None
    http: HttpSettings = field(default_factory=HttpSettings)
    #: name -> normal form, of every flag that is part of the executor spec, with kubelet's and kube-proxy's own and old
    #: names; URIs of artifacts without their digests
    spec_flags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: those of them that executors are told on their command line
    executor_flags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: name -> normal form of what reaches running executors without changing who they are
    hot_settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: flag name -> URI of each file that agents run, as given
    artifacts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def km_flag(self) -> str:
        """The flag that names the km file."""
        return next(name for name in KM_FLAGS if name in self.artifacts)


def build(parsed: Parsed) -> SchedulerConfig:
    """The configuration of a complete command line. Raises UsageError (syntax) or ConfigRefused (contradictions)."""
    config = SchedulerConfig(
        mesos_masters=tuple(_server("mesos-master", item, "http") for item in parsed["mesos-master"]),
        mesos_user=parsed["mesos-user"],
        mesos_role=parsed["mesos-role"],
        mesos_roles=tuple(dict.fromkeys(parsed["mesos-framework-roles"])) or (parsed["mesos-role"],),
        mesos_pod_roles=tuple(dict.fromkeys(parsed["mesos-default-pod-roles"])) or (parsed["mesos-role"],),
        mesos_principal=parsed["mesos-authentication-principal"],
        mesos_secret_file=parsed["mesos-authentication-secret-file"],
        mesos_ca_file=parsed["mesos-ca-file"],
        mesos_cert_file=parsed["mesos-cert-file"],
        mesos_key_file=parsed["mesos-key-file"],
        checkpoint=parsed["checkpoint"],
        failover_timeout_s=parsed["failover-timeout"],
        framework_name=parsed["framework-name"],
        framework_weburi=parsed["framework-weburi"],
        api_servers=api_servers(parsed),
        kubeconfig=parsed["kubeconfig"],
        scheduler_name=parsed["scheduler-name"],
        state_dir=Path(parsed["state-dir"]),
        address=parsed["address"],
        port=parsed["port"],
        handover_timeout_s=parsed["handover-timeout"],
        hostname=parsed["hostname-override"],
        executor_cpus_milli=round(parsed["executor-cpus"] * 1000),
        executor_mem_mib=parsed["executor-mem"],
        executor_launch_grace_period_s=parsed["executor-launch-grace-period"],
        agent_idle_timeout_s=parsed["agent-idle-timeout"],
        executor_shutdown_grace_period_s=parsed["executor-shutdown-grace-period"],
        placement=parsed["placement"],
        offer_ttl_s=parsed["offer-ttl"],
        refuse_s=parsed["refuse-seconds"],
        launch_timeout_s=parsed["launch-timeout"],
        reconcile_interval_s=parsed["reconcile-interval"],
        maps_ports=parsed["host-port-endpoints"],
        registers_all=parsed["register-nodes"] == "all",
        default_cpus_milli=round(parsed["default-container-cpu-limit"] * 1000),
        default_mem_mib=parsed["default-container-mem-limit"],
        allow_privileged=parsed["allow-privileged"],
        profiling=parsed["profiling"],
        log_format=parsed["log-format"],
        log_level=parsed["log-level"],
        ha=ha_config(parsed, parsed["hostname-override"] or socket.gethostname()),
        http=http_settings(parsed),
        spec_flags=spec_flags(parsed),
        executor_flags=executor_flags(parsed),
        hot_settings=hot_settings(parsed),
        artifacts=artifacts(parsed),
    )
    _refuse_empty(config)
    _refuse_contradictions(config, allow_short=parsed["allow-short-failover-timeout"])
    return config


def api_servers(parsed: Parsed, name: str = "api-servers") -> tuple[str, ...]:
    """URLs of such a list, https where no scheme is given."""
    return tuple(dict.fromkeys(_server(name, item, "https") for item in parsed[name]))


def spec_flags(parsed: Parsed) -> Mapping[str, str]:
    """Normal forms of the flags that belong to the executor spec; flags that are not set are left out."""
    chosen = dict(parsed.kubelet_extra) | dict(parsed.proxy_extra) | dict(parsed.cold_aliases)
    for flag in flags.flags_of(parsed.command):
        value = _value(flag, parsed)
        if flag.in_spec and value not in (None, ()):
            chosen[flag.name] = flag.normal(value)
    return MappingProxyType(dict(sorted(chosen.items())))


def executor_flags(parsed: Parsed) -> Mapping[str, str]:
    """Those of them that `km executor` takes: what its command line says."""
    taken = {flag.name for flag in flags.flags_of(flags.EXECUTOR)}
    taken |= {name for name, _ in (*parsed.kubelet_extra, *parsed.proxy_extra)}
    return MappingProxyType({name: text for name, text in spec_flags(parsed).items() if name in taken})


def hot_settings(parsed: Parsed) -> Mapping[str, str]:
    """Normal forms of the settings that reach running executors, by name."""
    return MappingProxyType(
        {flag.name: flag.normal(parsed[flag.name]) for flag in flags.flags_of(parsed.command) if flag.is_hot}
    )


def _value(flag: Flag, parsed: Parsed) -> Any:
    if flag.name in API_LISTS:
        return api_servers(parsed, flag.name)
    value = parsed[flag.name]
    return without_digest(value) if flag.kind is Kind.ARTIFACT and value is not None else value


def artifacts(parsed: Parsed) -> Mapping[str, str]:
    """Flag name -> URI of each file that agents run."""
    kinds = {flag.name: flag.kind for flag in flags.flags_of(parsed.command)}
    chosen = {name: parsed[name] for name, kind in kinds.items() if kind is Kind.ARTIFACT and parsed[name] is not None}
    return MappingProxyType(chosen)


def check_host(config: SchedulerConfig) -> None:
    """Refuse with ConfigRefused what this machine cannot provide: credentials, secret, state folder."""
    if config.kubeconfig is not None:
        _refuse_unreadable("kubeconfig", Path(config.kubeconfig), "put the scheduler's credentials there")
    if config.mesos_secret_file is not None:
        read_secret(config)
    for name in MESOS_FILES:
        path = getattr(config, name.replace("-", "_"))
        if path is not None:
            _refuse_unreadable(name, Path(path), "put the PEM file there")
    if config.ha is not None:
        read_password(config.ha)
    read_tokens(config.http)
    _refuse_unwritable(config.state_dir)


def read_secret(config: SchedulerConfig) -> str | None:
    """The Mesos secret without its final line break, or None when no principal is set."""
    if config.mesos_secret_file is None:
        return None
    path = Path(config.mesos_secret_file)
    name = "mesos-authentication-secret-file"
    try:
        secret = small_text(path).rstrip("\r\n")
    except ValueError as error:
        raise ConfigRefused(f"--{name}: cannot read {str(path)!r}: {error}; put the secret there") from None
    if not secret:
        raise ConfigRefused(f"--{name}: {str(path)!r} is empty; put the secret there")
    return secret


def _server(name: str, text: str, scheme: str) -> str:
    try:
        return values.read_server(text, scheme)
    except ValueError as refusal:
        raise UsageError(f"--{name}: {text!r} {refusal}") from None


def _refuse_empty(config: SchedulerConfig) -> None:
    for name, value in (
        ("mesos-master", config.mesos_masters),
        ("mesos-user", config.mesos_user),
        ("mesos-role", config.mesos_role),
        ("framework-name", config.framework_name),
        ("scheduler-name", config.scheduler_name),
        ("address", config.address),
    ):
        if not value:
            raise UsageError(f"--{name} is empty; give a value, or leave the flag out for its default")


def _refuse_contradictions(config: SchedulerConfig, *, allow_short: bool) -> None:
    if config.kubeconfig is None and not config.api_servers:
        raise ConfigRefused("neither --kubeconfig nor --api-servers is given; name the Kubernetes API")
    if (config.mesos_principal is None) != (config.mesos_secret_file is None):
        raise ConfigRefused(
            "--mesos-authentication-principal and --mesos-authentication-secret-file go together; give both or none"
        )
    _refuse_half_tls(config)
    for name, roles in (("mesos-role", (config.mesos_role,)), ("mesos-default-pod-roles", config.mesos_pod_roles)):
        if others := [each for each in roles if each not in config.mesos_roles]:
            raise ConfigRefused(
                f"--{name}: {', '.join(others)} is not in --mesos-framework-roles={','.join(config.mesos_roles)}, so"
                f" there are no offers of it; add it there, or give --{name} one of these"
            )
    if len(config.artifacts.keys() & set(KM_FLAGS)) > 1:
        raise ConfigRefused("--km-path and --executor-path name the same file; give one of them")
    if config.failover_timeout_s < WEEK_S and not allow_short:
        raise ConfigRefused(
            f"--failover-timeout={_duration(config.failover_timeout_s)} is below one week: Mesos would end all pods "
            "when no scheduler comes back by then; give 1w or more, or --allow-short-failover-timeout"
        )
    for shorter, longer in (
        ("launch-timeout", "executor-launch-grace-period"),
        ("offer-ttl", "launch-timeout"),
    ):
        low, high = _seconds(config, shorter), _seconds(config, longer)
        if low >= high:
            raise ConfigRefused(
                f"--{shorter}={_duration(low)} must be shorter than --{longer}={_duration(high)}; change one of them"
            )
    idle = config.agent_idle_timeout_s
    if idle and idle <= config.launch_timeout_s:
        raise ConfigRefused(
            f"--launch-timeout={_duration(config.launch_timeout_s)} must be shorter than "
            f"--agent-idle-timeout={_duration(idle)}, or executors leave while launches are on their way"
        )


def _refuse_half_tls(config: SchedulerConfig) -> None:
    """What is protected at one master must be at all of them: nobody knows which one leads next."""
    if (config.mesos_cert_file is None) != (config.mesos_key_file is None):
        raise ConfigRefused("--mesos-cert-file and --mesos-key-file go together; give both or none")
    plain = [url for url in config.mesos_masters if url.startswith("http:")]
    given = [name for name in MESOS_FILES if getattr(config, name.replace("-", "_")) is not None]
    if plain and (given or len(plain) < len(config.mesos_masters)):
        why = f"--{given[0]} is given" if given else "another master is asked with TLS"
        raise ConfigRefused(
            f"--mesos-master={plain[0]} is asked without TLS, and {why}; write {plain[0].replace('http:', 'https:')}"
        )


def _seconds(config: SchedulerConfig, name: str) -> float:
    seconds: float = getattr(config, name.replace("-", "_") + "_s")
    return seconds


def _duration(seconds: float) -> str:
    return values.write(Kind.DURATION, seconds)


def _refuse_unreadable(name: str, path: Path, remedy: str) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigRefused(f"--{name}: cannot read {str(path)!r}: {error.strerror}; {remedy}") from None


def _refuse_unwritable(folder: Path) -> None:
    remedy = "make the folder and let this user write to it, or name another with --state-dir"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise ConfigRefused(f"--state-dir: cannot write to {str(folder)!r}: {reason}; {remedy}") from None
