"""Data sets and clip sampling."""
