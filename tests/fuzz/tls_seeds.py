#!/usr/bin/python3
"""tls_seeds.py DIRECTORY: seeds of fuzz_tls.c: what both sides of real handshakes send, and lists of actions."""

import ssl
import subprocess
import sys
import tempfile
from pathlib import Path


def certificate(directory):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=seed", "-keyout", directory / "key", "-out", directory / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    return directory / "cert", directory / "key"


def handshake(version, cert, key, client_cert):
    """What the client and the server send."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client_context.minimum_version = client_context.maximum_version = version
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert, key)
    if client_cert:
        client_context.load_cert_chain(cert, key)
        server_context.load_verify_locations(cert)
        server_context.verify_mode = ssl.CERT_REQUIRED
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    sent = {client: b"", server: b""}
    for side, target in ((client, to_server), (server, to_client)) * 4:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        data = target.read()
        sent[side] += data
        target.write(data)
    return sent[client], sent[server]


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        cert, key = certificate(Path(directory))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for client_cert in (False, True):
                name = f"{version.name}-{client_cert}"
                client, server = handshake(version, cert, key, client_cert)
                (out / f"client-{name}").write_bytes(b"\0" + client)
                (out / f"server-{name}").write_bytes(b"\1" + server)
    for version in range(3):
        for name, actions in {
            "talk": (0, 9, 5, 0, 6, 1, 8, 3, 6, 1, 9, 255),
            "tiny": (1, 200, 5, 0, 6, 3, 1, 90, 4, 7, 6, 1, 4, 30),
            "keys": (3, 1, 0, 5, 3, 0, 5, 0, 6, 2, 8, 200, 3, 1, 5, 0, 9, 200),
            "full": (8, 255, 8, 255, 8, 255, 8, 255, 6, 1, 9, 255, 9, 255, 6, 2, 2, 255, 5, 0, 7, 0, 6, 1, 7, 1),
            "end": (2, 100, 12, 255, 4, 255, 10, 9, 6, 1, 5, 0, 6, 2),
            "dirt": (0, 9, 11, 30, 6, 2, 0, 3, 5, 0, 6, 1),
        }.items():
            (out / f"actions-{name}-{version}").write_bytes(bytes((2, version, *actions)))


if __name__ == "__main__":
    main()
