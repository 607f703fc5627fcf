"""Leads the names of hosts to addresses on this machine, as the proxy's own DNS would. TEST_HOSTS is {"host:port": "address:port"}.
A name that is not in it does not exist."""

import json
import logging
import os
import socket

from proxy.core.connection import TcpServerConnection
from proxy.http.proxy import HttpProxyBasePlugin

HOSTS = json.loads(os.environ["TEST_HOSTS"])
connect = TcpServerConnection.connect


def connect_to_test_host(connection, addr=None, source_address=None):
    known = HOSTS.get("%s:%d" % (addr or connection.addr))
    if known is None:
        raise socket.gaierror("the test has no such host")
    host, port = known.rsplit(":", 1)
    connect(connection, addr=(host, int(port)), source_address=source_address)


TcpServerConnection.connect = connect_to_test_host


class TestHosts(HttpProxyBasePlugin):
    """Logs what the proxy is asked for, and the requests that it can read, with their tokens: none, unless it inspects TLS."""

    def before_upstream_connection(self, request):
        logging.info("asked: %s %s:%d", request.method.decode(), request.host.decode(), request.port)
        return request

    def handle_client_request(self, request):
        if request.method != b"CONNECT":
            token = request.header(b"authorization") if request.has_header(b"authorization") else b""
            logging.info("%s %s %s", request.method.decode(), request.path.decode(), token.decode())
        return request
