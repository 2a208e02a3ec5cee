"""Jobs: a durable queue of restorations, and the processes that do them.

Nothing here imports torch: the workers do, in processes of their own.
"""

from .crew import Receive, Worker
from .order import ACTIVE, Entry, Making, Order, QueueError
from .queue import DAY, JobQueue, NoRoom, free_bytes

__all__ = [
    "ACTIVE",
    "DAY",
    "Entry",
    "JobQueue",
    "Making",
    "NoRoom",
    "Order",
    "QueueError",
    "Receive",
    "Worker",
    "free_bytes",
]
