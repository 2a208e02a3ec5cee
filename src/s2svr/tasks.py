"""Tasks: everything that the program looks up by a task's name, in one table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """The choices that belong to one value of ``--task``."""

    weights: str  # name of the bundled weights, a network that is fast everywhere
    damage: str  # made by evaluate where clips have no low quality; a name of damage.degradation
    help: str  # what it does to a video, for --help
    best: str = ""  # of a larger network, which restores more, or of this one as a SelfEnsemble


PLUS = "+"  # behind a network's name: frames are restored mirrored too, as papers write it
TASKS = {
    "sr": Task("sr-light", "bicubic", "enlarge clean video 4 times", "sr-base"),
    "upscale": Task(
        "sr-real", "bicubic", "enlarge compressed or noisy video 4 times", "sr-real-base"
    ),
    "deblur": Task("deblur-light", "blur-7", "sharpen what motion blurred"),
    "compression": Task(
        "compression-light", "hevc-37", "remove blocks and ringing", "compression-light" + PLUS
    ),
}
USUAL_TASK = "sr"  # where no task is named
LOSSY_TASK = "upscale"  # the same, where restore gets a video of a lossy codec


def task_named(name: str) -> Task:
    """The task of this name. Raises ValueError, which lists all names."""
    if name not in TASKS:
        raise ValueError(f"expected the task {', '.join(TASKS)}, got {name!r}")
    return TASKS[name]
