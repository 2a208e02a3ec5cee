"""Jobs: a durable queue of restorations, and the processes that do them.

Nothing here imports torch: the workers do, in processes of their own.
"""

from .crew import Receive, Worker, WorkerProcess
from .order import ACTIVE, Entry, Making, Order, QueueError
from .queue import DAY, JobQueue, NoRoomError
from .records import settings_asked
from .remote import (
    OVER,
    pack,
    perform,
    perform_apart,
    perform_to,
    said_by,
    unfit,
    unpack_product,
)

__all__ = [
    "ACTIVE",
    "DAY",
    "Entry",
    "JobQueue",
    "Making",
    "NoRoomError",
    "Order",
    "QueueError",
    "Receive",
    "Worker",
    "WorkerProcess",
    "OVER",
    "pack",
    "perform",
    "perform_apart",
    "perform_to",
    "said_by",
    "settings_asked",
    "unfit",
    "unpack_product",
]
