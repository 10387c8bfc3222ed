"""A function that speaks the protocol itself and keeps every rule, or breaks the one that it is told to."""

# mypy: ignore-errors

import json
import os
import signal
import sys
import time

FLAW = sys.argv[1] if len(sys.argv) > 1 else ""
CONCURRENCY = 2


def say(**message):
    os.write(1, json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


def refuse(id_, code, **data):
    say(id=id_, error={"code": code, "message": "no", "data": data})


def load(id_, params):
    if params["protocol"] != 1 and FLAW != "takes any version":
        refuse(id_, -32012, supported=[] if FLAW == "supports nothing" else [1])
        return
    if FLAW == "is silent":
        return
    if FLAW == "ends":
        print("no weights", file=sys.stderr, flush=True)
        os._exit(3)
    if FLAW == "fails":
        refuse(id_, -32011)
        return
    concurrency = 0 if FLAW == "takes no calls" else CONCURRENCY
    protocol = 7 if FLAW == "says another version" else 1
    say(
        id=id_,
        result={"protocol": protocol, "concurrency": concurrency, "name": "flawed", "marks": True, "more": 1},
    )


calls = 0


def execute(id_, params):
    global calls  # noqa: PLW0603 - it is one process
    calls += 1
    if (FLAW == "answers one of two" and calls == 5) or (FLAW == "forgets the cancelled" and calls == 8):
        return
    if FLAW == "ends at the second call" and calls == 2:
        os._exit(1)
    if FLAW == "answers nothing" or (FLAW == "answers only what fits" and "text" not in params["inputs"]):
        return
    if FLAW == "tells of others":
        say(method="progress", params={"id": "someone/else/1", "current": 1})
    if FLAW == "tells no level":
        say(method="log", params={"id": id_, "level": "loud", "text": "x"})
    say(method="progress", params={"id": id_, "current": 1})
    if FLAW == "prints a line":
        os.write(1, b"counting\n")
    if FLAW != "forgets marks":
        os.write(2, b"\0" + id_.encode() + b"\n")
    value = "x" * (2 << 20) if FLAW == "says much" else 5
    result = {"value": 5} if FLAW == "says something else" else {"$returned": value}
    if FLAW == "asks for tea":
        result = {"$result": "tea"}
    if FLAW == "gives no number":
        os.write(1, b'{"jsonrpc":"2.0","id":"%b","result":{"$returned":NaN}}\n' % id_.encode())
        return
    if FLAW == "speaks Latin-1":
        os.write(1, b'{"jsonrpc":"2.0","id":"%b","result":{"$returned":"\xe9"}}\n' % id_.encode())
        return
    say(id="another" if FLAW == "answers another" else id_, result=result)
    if FLAW == "answers twice":
        say(id=id_, result=result)


def hear(line):
    try:
        message = json.loads(line)
    except ValueError:
        if FLAW == "dies of torn lines":
            os._exit(1)
        if FLAW != "ignores torn lines":
            say(id=None, error={"code": -32700, "message": "no JSON"})
        return
    method, id_, params = message["method"], message.get("id"), message.get("params", {})
    if method == "load":
        load(id_, params)
    elif method == "execute":
        execute(id_, params)
    elif method == "ping":
        say(id=id_, result=[] if FLAW == "pings oddly" else {"calls": []})
    elif method == "shutdown":
        say(id=id_, result=None)
        if FLAW != "stays":
            os._exit(4 if FLAW == "ends badly" else 0)
    elif id_ is not None:
        if FLAW == "knows everything":
            say(id=id_, result={})
        else:
            refuse(id_, -32601)
    elif FLAW == "answers notifications":
        say(id="cancelled", result=None)


if FLAW == "ignores SIGTERM":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for text in sys.stdin:
    if text.strip():
        hear(text)
if FLAW == "ignores SIGTERM":
    time.sleep(60)
