"""What the checks with Python clients share: finding the broker, running checks, waiting.

A script registers functions with `@check` and ends with `run(NAME)`. Each check has topics and
Client Identifiers of its own (`base`), so they run beside each other. Waiting is for a condition,
with a deadline: no check sleeps for a fixed time.
"""

import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

HOST = "127.0.0.1"
TCP_PORT = int(os.environ["HALYARD_TCP"])
WS_PORT = int(os.environ["HALYARD_WS"])
# A listener with max_qos 1.
QOS_1_PORT = int(os.environ["HALYARD_TCP_QOS_1"])
# What the configuration of run.sh says.
MAX_KEEPALIVE = int(os.environ["HALYARD_MAX_KEEPALIVE"])
MAX_PACKET_SIZE = int(os.environ["HALYARD_MAX_PACKET_SIZE"])
DEADLINE = 20.0

_checks = []


def check(function):
    """Registers a check: a function of its base, which begins its topics and Client Identifiers."""
    _checks.append(function)
    return function


def expect(got, wanted, what):
    """Fails unless both are equal."""
    if got != wanted:
        raise AssertionError(f"{what}: {got!r} instead of {wanted!r}")


class Bell:
    """Waits for conditions that other threads bring about."""

    def __init__(self):
        self.condition = threading.Condition()

    def ring(self):
        with self.condition:
            self.condition.notify_all()

    def wait(self, what, probe):
        """Waits until `probe` gives something true, and gives that."""
        deadline = time.monotonic() + DEADLINE
        with self.condition:
            while not (found := probe()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {DEADLINE:g} s in vain for {what}")
                self.condition.wait(min(left, 0.1))
        return found


def _say(line):
    # In one piece, because other threads write too.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _outcome(name, function):
    label = f"{name}.{function.__name__}"
    try:
        function(f"{name}-{function.__name__}")
    except Exception as error:  # Whatever went wrong is the check's failure, not the script's.
        traceback.print_exc()
        why = str(error) or type(error).__name__
        _say(f"not ok {label}: {why.splitlines()[0]}")
        return False
    _say(f"ok {label}")
    return True


def run(name):
    """Runs all checks, some beside each other; ends the process, with 1 if one failed."""
    wanted = sys.argv[1:]
    checks = [function for function in _checks if not wanted or function.__name__ in wanted]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda function: _outcome(name, function), checks))
    sys.exit(0 if all(outcomes) else 1)
