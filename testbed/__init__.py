"""The testbed: real Mesos, Kubernetes, etcd and systemd hosts on one machine.

Standard library only, because it runs before any virtual environment exists. It makes bare hosts and the peers of
kmsched; it never installs kmsched itself.
"""
