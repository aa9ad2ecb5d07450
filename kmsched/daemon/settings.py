"""The configuration as the parts want it: what the core must know, how Mesos is told of the framework, whom to ask.

Knows both spellings and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kmsched import fingerprint
from kmsched.clients.aiohttp_transport import TlsSettings
from kmsched.clients.kube import KubeAccess, load_access
from kmsched.clients.mesos import Credentials
from kmsched.config import SchedulerConfig, read_secret
from kmsched.core.model import Settings
from kmsched.core.resources import MILLI, Resources
from kmsched.core.shares import UNRESERVED, Flavour
from kmsched.wire.mesos_calls import FrameworkInfo
from kmsched.wire.offers import static_reservations
from kmsched.wire.pod_requests import Defaults


def core_settings(config: SchedulerConfig, digests: Mapping[str, str]) -> Settings:
    executor_id = fingerprint.executor_id(fingerprint.executor_spec(config, digests))
    flavours = [Flavour(role, each) for role in config.mesos_roles for each in (UNRESERVED, *static_reservations(role))]
    return Settings(
        executor_id=executor_id,
        executor_resources=Resources(cpus=config.executor_cpus_milli, mem=config.executor_mem_mib * MILLI),
        allow_privileged=config.allow_privileged,
        placement=config.placement,
        scheduler_name=config.scheduler_name,
        offer_ttl_s=config.offer_ttl_s,
        refuse_s=config.refuse_s,
        launch_timeout_s=config.launch_timeout_s,
        reconcile_interval_s=config.reconcile_interval_s,
        role=config.mesos_role,
        roles=config.mesos_roles,
        pod_roles=config.mesos_pod_roles,
        other_flavours=MappingProxyType(
            {
                flavour: fingerprint.flavoured_id(executor_id, *flavour)
                for flavour in flavours
                if flavour != Flavour(config.mesos_role)
            }
        ),
        maps_ports=config.maps_ports,
        registers_all=config.registers_all,
    )


def framework_info(config: SchedulerConfig, hostname: str) -> FrameworkInfo:
    return FrameworkInfo(
        name=config.framework_name,
        user=config.mesos_user,
        roles=config.mesos_roles,
        failover_timeout_s=config.failover_timeout_s,
        checkpoint=config.checkpoint,
        principal=config.mesos_principal,
        hostname=config.hostname or hostname,
        webui_url=config.framework_weburi,
    )


def credentials(config: SchedulerConfig) -> Credentials | None:
    """ConfigRefused: the secret's file cannot be read."""
    secret = read_secret(config)
    if config.mesos_principal is None or secret is None:
        return None
    return Credentials(config.mesos_principal, secret)


def kube_access(config: SchedulerConfig) -> KubeAccess:
    """ConfigRefused names the kubeconfig and what is wrong in it."""
    if config.kubeconfig is None:
        return KubeAccess(servers=config.api_servers, tls=TlsSettings(), user="anonymous")
    return load_access(config.kubeconfig, config.api_servers or None)


def request_defaults(config: SchedulerConfig) -> Defaults:
    """What counts for containers that request nothing."""
    return Defaults(cpu_millis=config.default_cpus_milli, mem_milli=config.default_mem_mib * MILLI)
