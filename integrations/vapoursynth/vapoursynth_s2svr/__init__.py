"""Video restoration with s2svr as a filter of VapourSynth."""

from .filter import restore

__all__ = ["restore"]
