"""A client that lets the process kept by :mod:`tests.harness.warm` run a job, instead of starting Python for it."""

import array
import json
import os
import socket
import sys


def ask(path: str, script: str) -> None:
    """Send the script and this process's folder, environment and streams to the socket; exit as the job exits."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    content = json.dumps({"script": script, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
    streams = array.array("i", [0, 1, 2])
    connection.sendmsg([len(content).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    connection.sendall(content)
    status = int(connection.recv(64) or b"1")
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    ask(*sys.argv[1:])
