"""The demo: from a bare Debian 12 machine to pods of a Kubernetes API that run on agents of a real Mesos.

Needs the standard library alone, because it is what makes the virtual environment. It installs nothing of the product
itself: Ansible does, as on an operator's hosts.
"""
