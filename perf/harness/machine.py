"""The kind of machine a result belongs to, in general terms."""

import os
import platform
import re


def describe():
    """One line: cores, processor, kernel and memory; no names of hosts or users."""
    kernel = re.match(r"\d+\.\d+", platform.release())
    virtual = ", virtual machine" if "hypervisor" in _cpu_field("flags").split() else ""
    return (
        f"{os.cpu_count()} cores of {_cpu_field('model name') or platform.machine()}{virtual}, "
        f"Linux {kernel.group(0) if kernel else 'unknown'}, {_memory_gib()} GiB of memory, loopback"
    )


def _cpu_field(name):
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""


def _memory_gib():
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))
