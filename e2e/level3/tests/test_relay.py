"""The relay carries bytes both ways and passes on ends."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import level3

_RELAY = Path(str(level3.__file__)).with_name("relay.py")


def _echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        received = b""
        while block := connection.recv(1 << 16):
            received += block
        connection.sendall(received[::-1])


def test_bytes_and_ends_go_both_ways() -> None:
    sent = bytes(range(256)) * 2000
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_echo, args=(server,))
        thread.start()
        words = [str(listener.fileno()), "127.0.0.1", str(server.getsockname()[1])]
        with subprocess.Popen([sys.executable, str(_RELAY), *words], pass_fds=[listener.fileno()]) as process:
            with socket.create_connection(listener.getsockname(), timeout=10) as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
            process.kill()
        thread.join()
    assert answer == sent[::-1]


def test_what_is_refused_inside_is_refused_outside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        words = [str(listener.fileno()), "127.0.0.1", str(nobody.getsockname()[1])]
        with subprocess.Popen([sys.executable, str(_RELAY), *words], pass_fds=[listener.fileno()]) as process:
            with socket.create_connection(listener.getsockname(), timeout=10) as client:
                try:
                    answer = client.recv(1)
                except ConnectionResetError:
                    answer = b""
            process.kill()
    assert answer == b""
