"""An MCP server that downloads with what every Python has, and says how long it took."""

import json
import os
import ssl
import sys
import time
import urllib.request

# The server is on loopback, for which no program asks a proxy by itself.
for name in ("NO_PROXY", "no_proxy"):
    os.environ.pop(name, None)
TRUST = ssl.create_default_context(cafile="ca.pem")
OPENER = urllib.request.build_opener(urllib.request.HTTPSHandler(context=TRUST))


def download(url):
    begun, size = time.perf_counter(), 0
    with OPENER.open(url, timeout=20) as answer:
        while piece := answer.read(1 << 20):
            size += len(piece)
    return {"bytes": size, "seconds": time.perf_counter() - begun}


def result(request):
    if request["method"] == "initialize":
        return {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "download", "version": "1"},
        }
    if request["method"] == "tools/list":
        return {"tools": [{"name": "download", "inputSchema": {"type": "object"}}]}
    return {"content": [{"type": "text", "text": json.dumps(download(**request["params"]["arguments"]))}]}


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result(request)}), flush=True)
