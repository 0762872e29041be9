"""Counts the system calls of a keep-alive request with strace."""

import http.client
import re
import signal
import subprocess

from . import layout
from .errors import HarnessError
from .peers import find_program
from .processes import LOAD_CORE

REQUESTS = 4000
CONNECTIONS = 16
_WARM_ROUNDS = 8
# recv, send, recv, send; the rest allows for what a timer or a wake-up adds now and then.
DATA_CALLS = 4.0
DATA_CALLS_SLACK = 0.1

_RECEIVING = ("read", "readv", "recvfrom", "recvmsg", "recvmmsg")
_SENDING = ("write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice", "tee")
_WAITING = ("epoll_wait", "epoll_pwait", "epoll_pwait2")


def run(supervisor, peers, instances):
    """Prints a line per proxy; returns whether meshd kept to four data calls a request."""
    kept = True
    print(f"{REQUESTS} keep-alive requests over {CONNECTIONS} connections; calls per request:\n")
    print(f"{'proxy':9} {'receive':>8} {'send':>6} {'wait':>6} {'other':>6}  others, and calls that failed")
    for peer in peers:
        if not peer.has_process:
            continue
        running = peer.start(supervisor, layout.single_pool("http", instances.ports))
        calls = _count(supervisor, running)
        running.stop(supervisor)
        data = _print_line(peer.name, calls)
        if peer.name == "meshd" and data > DATA_CALLS + DATA_CALLS_SLACK:
            print(f"meshd: {data:.2f} data calls per request, more than {DATA_CALLS:.0f}")
            kept = False
    return kept


def _count(supervisor, running):
    """Traces the whole process tree while a fixed number of requests goes over connections that are warm already."""
    connections = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=20) for _ in range(CONNECTIONS)]
    _exchange(connections, _WARM_ROUNDS)
    folder = supervisor.folder("strace")
    output = f"{folder}/calls"
    argv = [find_program("strace"), "-c", "-f", "-o", output]
    pids = running.pids()
    for pid in pids:
        argv += ["-p", str(pid)]
    tracer = supervisor.start("strace", argv, LOAD_CORE, folder)
    tracer.wait_until(lambda: tracer.log_tail().count("attached") >= len(pids), "attaching")
    _exchange(connections, REQUESTS // CONNECTIONS)
    tracer.popen.send_signal(signal.SIGINT)
    try:
        tracer.popen.wait(10)
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"strace did not end\n{tracer.log_tail()}") from error
    supervisor.stop(tracer)
    for connection in connections:
        connection.close()
    with open(output, encoding="utf-8") as file:
        return _parse(file.read())


def _exchange(connections, rounds):
    """Each round sends one request on every connection, then reads all answers: several are in flight together."""
    for _ in range(rounds):
        for connection in connections:
            connection.request("GET", "/", headers={"Host": layout.HOST})
        for connection in connections:
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise HarnessError(f"status {response.status} under strace")


def _parse(text):
    """{name: (calls, failed)} of strace's summary: % time, seconds, usecs/call, calls, errors (may be empty), name."""
    calls = {}
    for line in text.splitlines():
        found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?([a-z_0-9]+)$", line)
        if found and found.group(3) != "total":
            calls[found.group(3)] = (int(found.group(1)), int(found.group(2) or 0))
    if not calls:
        raise HarnessError(f"strace gave no summary:\n{text[-500:]}")
    return calls


def _print_line(name, calls):
    def total(names):
        return sum(calls[call][0] for call in names if call in calls) / REQUESTS

    known = _RECEIVING + _SENDING + _WAITING
    others = {call: count for call, (count, _) in calls.items() if call not in known}
    notes = [f"{call} {count / REQUESTS:.3f}" for call, count in sorted(others.items(), key=lambda item: -item[1])]
    notes += [f"{call} failed {failed / REQUESTS:.3f}" for call, (_, failed) in calls.items() if failed]
    receive, send, wait, other = total(_RECEIVING), total(_SENDING), total(_WAITING), total(tuple(others))
    print(f"{name:9} {receive:8.3f} {send:6.3f} {wait:6.3f} {other:6.3f}  {', '.join(notes)}")
    return receive + send
