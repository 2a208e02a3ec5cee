"""The error of files that cannot be read or written."""


class MediaError(Exception):
    """A file cannot be read or written; the message is one sentence for the user."""
