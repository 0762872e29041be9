"""What a process and its descendants use, read from /proc."""

import os


def _stat(pid):
    """(parent pid, start time in ticks) of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), int(fields[19])


def start_time(pid):
    """When the process started, in clock ticks since boot: with the pid it names one process for good."""
    stat = _stat(pid)
    return stat and stat[1]


def tree(pid):
    """The pid and the pids of all its living descendants."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(entry)):
            children.setdefault(stat[0], []).append(int(entry))
    found, queue = [], [pid]
    while queue:
        current = queue.pop()
        found.append(current)
        queue.extend(children.get(current, []))
    return found


def cpu_nanoseconds(pids):
    """On-CPU time, user and system, of all threads of the processes, in nanoseconds.

    The first field of schedstat is the scheduler's own sum; /proc/PID/stat counts in ticks of 10 ms, which is
    too coarse for a short run. A thread that ends takes its time with it: proxies keep their threads.
    """
    total = 0
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except FileNotFoundError:
            continue
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                    total += int(file.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return total


def cpu_by_thread(pid):
    """The same of one process, {name of the thread: nanoseconds}."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{thread}"
        try:
            with open(f"{folder}/comm", encoding="utf-8") as comm, open(f"{folder}/schedstat", "rb") as file:
                name = comm.read().strip()
                found[name] = found.get(name, 0) + int(file.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def resident_bytes(pids):
    """Sum of the resident set sizes of the processes, in bytes."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def machine_busy_nanoseconds():
    """Time all cores together were not idle since boot, stolen time included, in nanoseconds (ticks of 10 ms)."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
