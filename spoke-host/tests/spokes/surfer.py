"""An MCP server that uses the web as it is told, with the standard library alone."""

import http.client
import json
import os
import socket
import ssl
import sys
import urllib.error
import urllib.request

PROXY = ("127.0.0.1", 3128)
kept = []


def trust():
    return ssl.create_default_context(cafile="/app/ca.pem")


def fetch(url, data=None):
    with urllib.request.urlopen(url, data, timeout=20, context=trust()) as answer:
        body = answer.read()
        return [answer.status, len(body), body[:100].decode()]


def tunnel(host, port):
    stream = socket.create_connection(PROXY, timeout=20)
    stream.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += stream.recv(1000) or b"\r\n\r\n"
    assert b" 200 " in head, head
    return stream


def hello(host, port, name, path="/"):
    context = trust()
    context.check_hostname = False
    stream = context.wrap_socket(tunnel(host, port), server_hostname=name)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    kept.append(stream)
    wanted = 15 if path == "/" else 5
    said = b""
    while len(said) < wanted:
        said += stream.recv(wanted - len(said))
    return said.decode()


def raw(host, port):
    stream = tunnel(host, port)
    stream.sendall(b"GET / HTTP/1.1\r\n\r\n" + b"\r\n" * 1000)
    try:
        return stream.recv(100).decode()
    except ConnectionResetError:
        return ""


def ask(text):
    with socket.create_connection(PROXY, timeout=20) as stream:
        stream.sendall(text.encode())
        return stream.recv(1000).decode().split("\r\n")[0]


def hold(count):
    for _ in range(count):
        stream = socket.create_connection(PROXY, timeout=20)
        stream.sendall(b"GET http://a.example/ HTTP/1.1\r\n")
        kept.append(stream)
    with socket.create_connection(PROXY, timeout=20) as stream:
        return stream.recv(1000).decode().split("\r\n")[0]


def held():
    ends = {}
    for stream in kept:
        end = stream.recv(1000).decode().split("\r\n")[0]
        ends[end] = ends.get(end, 0) + 1
        stream.close()
    return ends


def datagram(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stream:
        return stream.sendto(b"x", (host, port))


ACTS = {
    "get": lambda url: fetch(url),
    "post": lambda url, size: fetch(url, b"x" * size),
    "hello": hello,
    "raw": raw,
    "ask": ask,
    "hold": hold,
    "held": held,
    "connect": lambda host, port: socket.create_connection((host, port), timeout=5).close(),
    "lookup": lambda host: socket.getaddrinfo(host, 443),
    "datagram": datagram,
    "variables": lambda: sorted(name for name in os.environ if "PROXY" in name.upper()),
    "exit": lambda: os._exit(0),
}


def go(act, **how):
    try:
        return [True, ACTS[act](**how)]
    except (OSError, AssertionError, http.client.HTTPException) as error:
        return [False, f"{type(error).__name__} {error}"]


def result(request):
    if request["method"] == "initialize":
        return {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "surfer", "version": "1"},
        }
    if request["method"] == "tools/list":
        return {"tools": [{"name": "go", "inputSchema": {"type": "object"}}]}
    return {"content": [{"type": "text", "text": json.dumps(go(**request["params"]["arguments"]))}]}


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result(request)}), flush=True)
