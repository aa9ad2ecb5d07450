"""A Kubernetes scheduler that is a Mesos framework."""

__version__ = "0.1.0"
