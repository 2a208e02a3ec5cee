"""Sound that changes its shape in the middle: a file holds one header for all of it."""

import av

from ..media import codec_name
from .audio import choose_shape, shapes_within, widest
from .tracks import Companions, describe


def settle_sound(companions: Companions) -> list[str]:
    """Give sound that changes in the middle the widest shape that it has; say so in a list."""
    lines, codec = [], companions.sound_codec
    for route in companions.routes:
        stream = route.source
        rewritten = codec_name(stream) == "aac" and "mpegts" in companions.input.format.name
        copied = companions.format == "mpegts" or companions.sound.form == "copy"
        if route.shape is None and (copied or not rewritten):
            continue  # what is copied says its shape in each packet
        assert isinstance(stream, av.AudioStream)
        seen = shapes_within(companions.path, stream.index, companions.start, companions.end)
        shape = choose_shape(codec, widest(seen)) if seen else None
        if shape is None or (len(seen) == 1 and route.shape is None):
            continue
        route.codec, route.shape = codec, shape
        if len(seen) > 1:
            forms = " and ".join(f"{form.layout} at {form.rate} Hz" for form in seen)
            lines.append(
                f"{describe(stream)} changes between {forms}: all of it is converted to "
                f"{codec}, {shape.layout} at {shape.rate} Hz"
            )
    return lines
