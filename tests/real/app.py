# SPDX-License-Identifier: GPL-2.0-only
"""A program with threads, timers and subprocesses that checks itself; app_client.c talks to it.

Threads move amounts between accounts (the sum never changes), a timer ticks, two subprocesses square numbers over pipes,
short-lived subprocesses come and go. `CHECK n` gives `OK n TICKS TRANSFERS SQUARES SPAWNED` or `BAD n REASON`.
"""
import os
import signal
import socket
import subprocess
import sys
import threading
import time

ACCOUNTS = 1000
START = 1000
THREADS = 4

accounts = [START] * ACCOUNTS
lock = threading.Lock()
counts = {"ticks": 0, "transfers": 0, "squares": 0, "spawned": 0, "alarms": 0}
problems = []
last_tick = time.monotonic()
pid = os.getpid()


def transfer(seed):
    state = seed
    while True:
        with lock:
            for _ in range(20):
                state = (state * 1103515245 + 12345) % (1 << 31)
                a, b, amount = state % ACCOUNTS, state // 7 % ACCOUNTS, state % 13
                accounts[a] -= amount
                accounts[b] += amount
                counts["transfers"] += 1
        time.sleep(0.002)


def tick():
    global last_tick
    now = time.monotonic()
    if now < last_tick:
        problems.append("the clock went back")
    last_tick = now
    counts["ticks"] += 1
    timer = threading.Timer(0.05, tick)
    timer.daemon = True
    timer.start()


def squares():
    code = "import sys\nfor line in sys.stdin:\n    print(int(line) ** 2, flush=True)"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    first, n = child.pid, 0
    while True:
        n += 1
        child.stdin.write("%d\n" % n)
        child.stdin.flush()
        answer = child.stdout.readline()
        if answer != "%d\n" % (n * n):
            problems.append("%d squared gave %r" % (n, answer))
            return
        if child.pid != first or child.poll() is not None:
            problems.append("the child is gone")
        counts["squares"] += 1
        time.sleep(0.003)


def spawn():
    while True:
        done = subprocess.run(["sh", "-c", "sleep 0.02; exit 42"])
        if done.returncode != 42:
            problems.append("a subprocess ended with %d" % done.returncode)
        counts["spawned"] += 1


def check():
    with lock:
        if sum(accounts) != ACCOUNTS * START:
            problems.append("the accounts hold %d" % sum(accounts))
    if os.getpid() != pid:
        problems.append("the pid was %d and is %d" % (pid, os.getpid()))
    alive = sum(t.name.startswith("work") and t.is_alive() for t in threading.enumerate())
    if alive != THREADS + 3:
        problems.append("%d threads" % alive)


def alarm(_signal, _frame):
    counts["alarms"] += 1


def main():
    for i in range(THREADS):
        threading.Thread(target=transfer, args=(i + 1,), name="work transfer", daemon=True).start()
    for i in range(2):
        threading.Thread(target=squares, name="work squares", daemon=True).start()
    threading.Thread(target=spawn, name="work spawn", daemon=True).start()
    tick()
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", 7070))
    listener.listen(5)
    while True:
        connection, _ = listener.accept()
        lines = connection.makefile("rwb")
        for line in lines:
            n = line.split()[1].decode()
            check()
            if problems:
                answer = "BAD %s %s\n" % (n, "; ".join(problems))
            else:
                answer = "OK %s %d %d %d %d %d\n" % ((n,) + tuple(counts[k] for k in (
                    "ticks", "transfers", "squares", "spawned", "alarms")))
            lines.write(answer.encode())
            lines.flush()


main()
