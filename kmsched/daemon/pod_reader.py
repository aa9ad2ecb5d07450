"""Pods as the API server shows them become pods of the core, whatever is in them.

Knows what is assumed where a pod says nothing, and whom to tell of one that cannot be read: it stays known, so that
nobody takes it for gone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from kmsched.core.model import Pod
from kmsched.daemon.metrics import Metrics
from kmsched.daemon.repeats import Repeats
from kmsched.errors import ProtocolError
from kmsched.wire.kube import decode_pod
from kmsched.wire.pod_requests import Defaults
from kmsched.wire.unreadable import pod_by_identity

log = logging.getLogger(__name__)


class PodReader:
    def __init__(self, defaults: Defaults, metrics: Metrics, repeats: Repeats) -> None:
        self._defaults = defaults
        self._metrics = metrics
        self._repeats = repeats

    def read(self, obj: bytes | Mapping[str, Any]) -> Pod:
        """ProtocolError: not even its identity can be read."""
        try:
            return decode_pod(obj, self._defaults)
        except ProtocolError as error:
            pod = pod_by_identity(obj, str(error))
            self._metrics.bad_objects.labels("pods").inc()
            if self._repeats.is_first(str(error)):
                log.error("%s; the pod is left where it is, and placed nowhere", error)
            return pod
