"""Stops one thread of a process, the others running on, until this program ends.

    stop_thread.py PID THREAD-NAME

Says `stopped` when the thread stands still.
"""

import ctypes
import os
import signal
import sys

PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def thread_named(pid, name):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            if file.read().strip() == name:
                return int(task)
    sys.exit(f"no thread {name}")


def call(request, thread):
    if libc.ptrace(request, thread, None, None) != 0:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")


thread = thread_named(int(sys.argv[1]), sys.argv[2])
call(PTRACE_SEIZE, thread)
call(PTRACE_INTERRUPT, thread)
os.waitpid(thread, WALL)
print("stopped", flush=True)
signal.pause()
