"""Jobs: a durable queue of restorations, and the processes that do them.

Nothing here imports torch: the workers do, in processes of their own.
"""

from .crew import Receive, Worker, WorkerProcess
from .order import ACTIVE, Entry, Making, Order, QueueError, RefusedError
from .queue import DAY, JobQueue, NoRoomError
from .records import settings_asked
from .remote import (
    OVER,
    clear_coming,
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
    "RefusedError",
    "Worker",
    "WorkerProcess",
    "OVER",
    "clear_coming",
    "pack",
    "perform",
    "perform_apart",
    "perform_to",
    "said_by",
    "settings_asked",
    "unfit",
    "unpack_product",
]
