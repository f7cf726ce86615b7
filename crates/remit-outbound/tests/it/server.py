"""An MCP server over stdio that does what a test asks of it, and lies on request."""
import json
import os
import signal
import subprocess
import sys

flags = set(sys.argv[1:])
if "ignore-term" in flags:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
cancelled = []


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def send(**message):
    say(json.dumps({"jsonrpc": "2.0", **message}))


def hear():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def answer(request, **result):
    send(id=request["id"], result=result)


def child(*command):
    inside = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return inside.pid


def call(request):
    params = request["params"]
    tool = params["name"]
    if tool == "env":
        answer(request, env=dict(os.environ), cwd=os.getcwd())
    elif tool == "pid":
        answer(request, pid=os.getpid(), group=os.getpgid(0), session=os.getsid(0))
    elif tool == "grandchild":
        answer(request, pid=child("/bin/sh", "-c", "trap '' TERM; sleep 1000 & wait"))
    elif tool == "echo":
        answer(request, params=params)
    elif tool == "die":
        os._exit(3)
    elif tool == "silent":
        pass
    elif tool == "cancelled":
        answer(request, ids=cancelled)
    elif tool == "wrong-id":
        send(id=request["id"] + 1000, result={"stolen": True})
    elif tool == "bad-json":
        say("{'not': json")
    elif tool == "oversize":
        say('{"pad":"' + "x" * (1024 * 1024) + '"}')
    elif tool == "error":
        send(id=request["id"], error={"code": -32000, "message": "no: " + os.environ.get("TOKEN", "")})
    elif tool == "notify":
        token = params["_meta"]["progressToken"]
        send(method="notifications/message", params={"level": "info", "data": os.environ.get("TOKEN", "hi")})
        for step in (1, 2):
            send(method="notifications/progress", params={"progressToken": token, "progress": step})
        answer(request, token=token)
    elif tool == "print":
        sys.stderr.write("x" * 1000 + "\n" * 10000)
        sys.stderr.flush()
        answer(request)
    else:
        send(id=request["id"], error={"code": -32602, "message": "unknown tool"})


def initialize(request):
    if "silent-start" in flags:
        return
    if "modern" in flags:
        return send(id=request["id"], error={"code": -32601, "message": "unknown method"})
    version = request["params"]["protocolVersion"]
    for flag in flags:
        if flag.startswith("version="):
            version = flag.partition("=")[2]
    info = {"name": "fake", "version": "1"}
    answer(request, protocolVersion=version, capabilities={"tools": {}}, serverInfo=info)


if "banner" in flags:
    say("Welcome to the fake server!")
greeted = False
while True:
    message = hear()
    method = message.get("method")
    if method == "initialize":
        initialize(message)
    elif method == "server/discover" and "modern" in flags:
        answer(message, supportedVersions=["2026-07-28"], capabilities={})
    elif method == "notifications/initialized":
        greeted = True
    elif method == "notifications/cancelled":
        cancelled.append(message["params"]["requestId"])
    elif method == "tools/call" and (greeted or "modern" in flags):
        call(message)
    elif "id" in message:
        send(id=message["id"], error={"code": -32601, "message": "unknown method"})
