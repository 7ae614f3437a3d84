"""A queue of Celery with this server as broker and as store of results: tasks, a failure with retries, a group, a chain and
a chord. celery_queue.py PORT. The worker runs in a thread of its own."""

import sys

from celery import Celery, chain, chord, group
from celery.contrib.testing.worker import start_worker

url = "redis://127.0.0.1:%s/%d"
app = Celery("tasks", broker=url % (sys.argv[1], 1), backend=url % (sys.argv[1], 2))
app.conf.update(broker_connection_retry_on_startup=True, result_expires=600, worker_hijack_root_logger=False)
tries = []


@app.task
def add(a, b):
    return a + b


@app.task
def total(numbers):
    return sum(numbers)


@app.task(bind=True, max_retries=3, default_retry_delay=0)
def stubborn(self):
    tries.append(1)
    if len(tries) < 3:
        raise self.retry()
    return len(tries)


@app.task
def fails():
    raise KeyError("on purpose")


def main():
    with start_worker(app, pool="solo", loglevel="CRITICAL", perform_ping_check=False, shutdown_timeout=60):
        wait = dict(timeout=60)
        print("task", add.delay(1, 2).get(**wait))
        print("group", group(add.s(n, n) for n in range(10))().get(**wait))
        print("chain", chain(add.s(1, 2), add.s(3), add.s(4))().get(**wait))
        print("chord", chord((add.s(n, 1) for n in range(10)), total.s())().get(**wait))
        print("stubborn", stubborn.delay().get(**wait))
        failed = fails.delay()
        print("fails", repr(failed.get(propagate=False, **wait)), failed.status)
        print("delayed", add.apply_async((3, 4), countdown=0.1).get(**wait))
        print("revoked", add.AsyncResult("none").status)
    print("all good")


main()
