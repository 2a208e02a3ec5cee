"""Sets of options by name, for videos of a kind."""

from dataclasses import dataclass

Value = str | bool


@dataclass(frozen=True)
class Profile:
    """A written set of options of ``restore`` and ``batch``, by their names without dashes."""

    help: str  # what videos it is for
    options: dict[str, Value]
    why: str  # these


PROFILES = {
    "vhs": Profile(
        "captured tapes: interlaced, noisy, soft",
        {"task": "upscale", "fit": "1920x1080", "strength": "0.8"},
        "a tape has no detail for more than 1080 lines, and a fifth of the enlarged input covers "
        "what the network makes of a tape's noise; interlaced video is deinterlaced as marked",
    ),
    "dvd": Profile(
        "DVDs and TV recordings of 480 or 576 lines",
        {"task": "upscale", "fit": "1920x1080"},
        "they are compressed, and their pixels are not square: both become right in one step",
    ),
    "phone": Profile(
        "videos of a phone or an action camera, shaken",
        {"task": "deblur", "grain": True},
        "they are large enough, and blurred by motion; the noise that deblurring takes away is "
        "given back",
    ),
    "web": Profile(
        "clips of the web that were compressed hard",
        {"task": "compression"},
        "blocks and ringing go, and the size stays; enlarged, they would be seen the more",
    ),
    "cartoon": Profile(
        "drawn and animated films",
        {"task": "upscale", "quality": "best", "fit": "3840x2160"},
        "lines and flat areas bear to be enlarged far, and show the difference between the "
        "networks; --quality fast is several times as fast",
    ),
}


def profile_named(name: str) -> Profile:
    """The profile of this name. Raises ValueError, which lists all names."""
    if name not in PROFILES:
        raise ValueError(f"expected the profile {', '.join(PROFILES)}, got {name!r}")
    return PROFILES[name]


def as_words(options: dict[str, Value]) -> str:
    """Options as they are typed."""
    return " ".join(
        f"--{name}" if value is True else f"--{name} {value}" for name, value in options.items()
    )
