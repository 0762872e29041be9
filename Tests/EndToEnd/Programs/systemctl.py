#!/usr/bin/python3
"""Stands in for systemctl on machines of the tests, which have no service manager: runs what unit files say.

start, stop, restart, reload, enable [--now], disable, is-active, daemon-reload; --no-block. Of a unit it knows ExecStart,
Type=notify, Environment, EnvironmentFile, StateDirectory, RuntimeDirectory, ConfigurationDirectory, the ListenStream of a
socket of the same name, drop-ins, and services that it wants. Output of a unit is in /var/log/UNIT.log.
"""

import glob
import os
import shlex
import signal
import socket
import sys
import time

PLACES = ["/etc/systemd/system", "/lib/systemd/system"]


def read(path, unit):
    section = ""
    for line in open(path).read().replace("\\\n", " ").split("\n"):
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and line[0] not in "#;":
            key, value = line.split("=", 1)
            unit.setdefault(f"{section}.{key}", []).append(value)


def load(name):
    unit = {}
    for place in PLACES:
        if os.path.exists(f"{place}/{name}"):
            read(f"{place}/{name}", unit)
            break
    else:
        return None
    for path in sorted(glob.glob(f"/etc/systemd/system/{name}.d/*.conf")):
        read(path, unit)
    return unit


def environment(unit, name):
    known = dict(os.environ)
    for text in unit.get("Service.Environment", []):
        for word in shlex.split(text):
            key, value = word.split("=", 1)
            known[key] = value.replace("%H", socket.gethostname())
    for text in unit.get("Service.EnvironmentFile", []):
        path = text.lstrip("-").replace("%p", name.removesuffix(".service"))
        for line in open(path) if os.path.exists(path) else []:
            line = line.strip()
            if line and line[0] != "#":
                key, value = line.split("=", 1)
                known[key] = shlex.split(value)[0] if value else ""
    return known


def words(unit, known):
    result = []
    for word in shlex.split(unit["Service.ExecStart"][-1]):
        if word.startswith("$") and word[1:].isidentifier():
            result += shlex.split(known.get(word[1:], ""))
        else:
            result.append(word)
    return result


def pid_of(name):
    try:
        pid = int(open(f"/run/unit-{name}.pid").read())
        os.kill(pid, 0)
        return pid if " Z " not in open(f"/proc/{pid}/stat").read() else 0
    except (OSError, ValueError):
        return 0


def prepare(unit, name, known):
    for kind, root in [("State", "/var/lib"), ("Runtime", "/run"), ("Configuration", "/etc")]:
        for folder in unit.get(f"Service.{kind}Directory", []):
            os.makedirs(f"{root}/{folder}", exist_ok=True)
    news = None
    if "notify" in unit.get("Service.Type", []):
        known["NOTIFY_SOCKET"] = f"/run/notify-{name}"
        if os.path.exists(known["NOTIFY_SOCKET"]):
            os.unlink(known["NOTIFY_SOCKET"])
        news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        news.bind(known["NOTIFY_SOCKET"])
    passed = None
    listens = (load(name.removesuffix(".service") + ".socket") or {}).get("Socket.ListenStream", [])
    if listens and "fd://" in unit["Service.ExecStart"][-1]:
        if os.path.exists(listens[0]):
            os.unlink(listens[0])
        passed = socket.socket(socket.AF_UNIX)
        passed.bind(listens[0])
        passed.listen(64)
    return news, passed


def start(name, may_block):
    if pid_of(name):
        return
    unit = load(name)
    if unit is None:
        sys.exit(f"Unit {name} not found.")
    if "Service.ExecStart" not in unit:
        return
    for other in " ".join(unit.get("Unit.Wants", []) + unit.get("Unit.Requires", [])).split():
        if other.endswith(".service") and load(other):
            start(other, may_block)
    known = environment(unit, name)
    news, passed = prepare(unit, name, known)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        output = os.open(f"/var/log/{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if passed:
            os.dup2(passed.fileno(), 3)
            os.set_inheritable(3, True)
            known |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        command = words(unit, known)
        os.execvpe(command[0], command, known)
    with open(f"/run/unit-{name}.pid", "w") as file:
        file.write(str(pid))
    if news and may_block:
        await_ready(news, name, pid)


def await_ready(news, name, pid):
    news.settimeout(0.2)
    for _ in range(300):
        if os.waitpid(pid, os.WNOHANG)[0]:
            sys.exit(f"Job for {name} failed: {open(f'/var/log/{name}.log').read()[-2000:]}")
        try:
            if b"READY=1" in news.recv(4096):
                return
        except TimeoutError:
            pass
    sys.exit(f"Job for {name} timed out: {open(f'/var/log/{name}.log').read()[-2000:]}")


def stop(name):
    pid = pid_of(name)
    if not pid:
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(600):
        if not pid_of(name):
            return
        time.sleep(0.1)
    sys.exit(f"{name} does not stop")


def full(name):
    return name if "." in name else name + ".service"


def main():
    flags = [word for word in sys.argv[1:] if word.startswith("-")]
    verb, *names = [word for word in sys.argv[1:] if not word.startswith("-")]
    for name in map(full, names):
        if verb in ("stop", "restart") or verb == "disable" and "--now" in flags:
            stop(name)
        if verb in ("start", "restart") or verb == "enable" and "--now" in flags:
            start(name, "--no-block" not in flags)
        if verb == "reload":
            os.kill(pid_of(name), signal.SIGHUP)
        if verb == "is-active":
            print("active" if pid_of(name) else "inactive")


main()
