"""Certificates for tests of TLS, made by openssl(1), and servers and connections that use them."""

import socket
import ssl
import subprocess

import harness
from wire import Closed, Wire


def openssl(directory, *args):
    done = subprocess.run(["openssl", *args], cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


KEYS = {
    "ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "rsa": ("rsa:2048",),
}


class Certificates:
    """A directory with an authority ("ca") and what it signs. Each certificate is NAME.crt with NAME.key."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.authority("ca")
        self.issue("server", san="DNS:localhost,IP:127.0.0.1")
        self.issue("client")

    def path(self, name):
        return str(self.directory / name)

    def authority(self, name):
        openssl(self.directory, "req", "-x509", "-newkey", *KEYS["ec"], "-nodes", "-days", "10", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.crt")  # fmt: skip

    def issue(self, name, cn=None, san=None, kind="ec", days=5, by="ca", password=None):
        secret = ["-passout", f"pass:{password}"] if password else ["-nodes"]
        unlock = ["-passin", f"pass:{password}"] if password else []
        openssl(self.directory, "req", "-newkey", *KEYS[kind], *secret, "-subj", f"/CN={cn or name}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        extensions = self.directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
        openssl(self.directory, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.crt", "-CAkey", f"{by}.key",
                "-CAcreateserial", "-days", str(days), "-extfile", extensions.name, "-out", f"{name}.crt",
                *unlock)  # fmt: skip
        return name

    def lines(self, name="server", ca="ca"):
        """The directives for a server with this certificate."""
        return (
            f"tls-cert-file {self.path(name + '.crt')}",
            f"tls-key-file {self.path(name + '.key')}",
            f"tls-ca-cert-file {self.path(ca + '.crt')}",
        )

    def bundle(self, name):
        """The path of a file with a certificate and its key, as HAProxy wants them."""
        path = self.directory / f"{name}.pem"
        path.write_text((self.directory / f"{name}.crt").read_text() + (self.directory / f"{name}.key").read_text())
        return str(path)

    def cli(self, client="client"):
        """Arguments of redis-cli."""
        args = ["--tls", "--cacert", self.path("ca.crt")]
        return args + (["--cert", self.path(client + ".crt"), "--key", self.path(client + ".key")] if client else [])

    def context(self, client="client", ca="ca", version=None):
        """An ssl.SSLContext of a client. client None: without a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.path(ca + ".crt"))
        if client:
            context.load_cert_chain(self.path(client + ".crt"), self.path(client + ".key"))
        if version:
            context.minimum_version = context.maximum_version = version
        return context


class TlsWire(Wire):
    """A Wire over TLS. A failed handshake raises ssl.SSLError or ConnectionError."""

    def __init__(self, address, context, timeout=15.0, session=None, rcvbuf=None, source=None):
        super().__init__(address, timeout, rcvbuf, source)
        plain = self.sock
        try:
            self.sock = context.wrap_socket(plain, server_hostname="localhost", session=session)
        except BaseException:
            plain.close()
            raise

    def _fill(self):
        try:
            super()._fill()
        except ssl.SSLError as err:
            if isinstance(err, (socket.timeout, ssl.SSLWantReadError, ssl.SSLWantWriteError)):
                raise
            raise Closed(str(err)) from err


class TlsServer(harness.Server):
    """A server with a port of TLS, and with a plain one unless plain=False."""

    def __init__(self, kind, directory, certificates, lines=(), plain=True, name="server", **options):
        self.certificates = certificates
        self.plain = plain
        self.tls_port = harness.free_port()
        all_lines = [f"tls-port {self.tls_port}", *certificates.lines(name), *lines]
        if not plain:
            all_lines.append("port 0")
        super().__init__(kind, directory, all_lines, **options)

    @property
    def tls_address(self):
        return (self.host, self.tls_port)

    def tls(self, client="client", timeout=15.0, **options):
        """A new connection with TLS for the caller."""
        context = options.pop("context", None) or self.certificates.context(client)
        return TlsWire(self.tls_address, context, timeout * harness.SCALE, **options)

    def connect(self, timeout, **options):
        if self.plain:
            return super().connect(timeout, **options)
        return TlsWire(self.tls_address, self.certificates.context(), timeout, **options)
