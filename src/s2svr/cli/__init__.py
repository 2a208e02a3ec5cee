"""The command line: each command parses, calls one public function, and prints."""

from .app import main

__all__ = [
    "main",
]
