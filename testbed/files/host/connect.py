"""HOST PORT: ssh's ProxyCommand with ProxyUseFdpass. Connects in the namespace it was started in and gives ssh the
socket, so that nothing is copied in between."""

import socket
import sys

CONNECT_S = 10.0
found = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=CONNECT_S)
found.settimeout(None)
socket.send_fds(socket.socket(fileno=1), [b"\0"], [found.fileno()])
