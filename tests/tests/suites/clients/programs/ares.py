"""Resolves a name once for each line that it reads, by the next of several channels of c-ares, which
keep their sockets: some of them on each replica. It watches their sockets as event loops do that are
told of them (node, Envoy), also between questions."""
import itertools
import os
import select
import sys

import pycares

SETTINGS = {"timeout": 1.0, "tries": 3, "flags": pycares.ARES_FLAG_STAYOPEN}
STDIN = 0

owners = {}


def channel():
    def watch(fd, is_readable, _is_writable):
        if is_readable:
            owners[fd] = opened
        else:
            owners.pop(fd, None)

    opened = pycares.Channel(servers=[sys.argv[1]], sock_state_cb=watch, **SETTINGS)
    return opened


def answered(records, error):
    answer = records[0].host if error is None else pycares.errno.strerror(error)
    print(answer, flush=True)


channels = [channel() for _ in range(6)]
turns = itertools.cycle(channels)
while True:
    timers = [one.timeout() for one in channels]
    timeout = min((timer for timer in timers if timer is not None and timer > 0), default=None)
    readable, _, _ = select.select([STDIN, *owners], [], [], timeout)
    for fd in readable:
        if fd in owners:
            owners[fd].process_fd(fd, pycares.ARES_SOCKET_BAD)
        elif fd == STDIN:
            if not os.read(STDIN, 1):
                sys.exit()
            next(turns).query("who.lab", pycares.QUERY_TYPE_A, answered)
    for one in channels:
        one.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)
