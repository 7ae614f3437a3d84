"""A queue of RQ: jobs that succeed, that fail and are tried again, that depend on others, and one that is scheduled.
rq_queue.py PORT. The worker waits for work with blocking commands."""

import sys

import redis
from rq import Queue, Retry, SimpleWorker
from rq.registry import FailedJobRegistry, FinishedJobRegistry

tries = []


def add(a, b):
    return a + b


def fails():
    raise ValueError("on purpose")


def fails_once():
    tries.append(1)
    if len(tries) == 1:
        raise ValueError("the first time")
    return "the second time"


def main():
    # A job names its function by module, so this file is imported by that name, not run as __main__.
    import rq_queue as jobs
    connection = redis.Redis("127.0.0.1", int(sys.argv[1]))
    connection.flushall()
    queue = Queue("work", connection=connection)
    many = [queue.enqueue(jobs.add, n, 1) for n in range(25)]
    bad = queue.enqueue(jobs.fails)
    again = queue.enqueue(jobs.fails_once, retry=Retry(max=2))
    last = queue.enqueue(jobs.add, 20, 22, depends_on=many[3])
    print("queued", queue.count)
    SimpleWorker([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
    print("results", [job.return_value() for job in many])
    print("bad", bad.get_status(refresh=True).value, "again", again.return_value(), "last", last.return_value())
    print("failed", len(FailedJobRegistry(queue=queue)), "finished", len(FinishedJobRegistry(queue=queue)))
    # Without burst the worker sleeps in a blocking command until there is something.
    job = queue.enqueue(jobs.add, "a", "b")
    SimpleWorker([queue], connection=connection).work(max_jobs=1, logging_level="CRITICAL")
    print("waited for", job.return_value())
    print("left", queue.count)
    print("all good")


if __name__ == "__main__":
    sys.path.insert(0, __file__.rsplit("/", 1)[0])
    main()
