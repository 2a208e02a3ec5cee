"""The networks, by the name that checkpoints store, and their presets, by the name of recipes."""

from dataclasses import replace

from .along import along_channels
from .blurred import Blurred, contrasts
from .config import S2SVRConfig
from .earlier import Earlier, EarlierConfig, signs
from .exposure import Exposure, bands, sharpness
from .flows import Flows, chain_flows, cut_flows, flow_on_grid, frames_around
from .gru import ConvGRU, ResConvGRU
from .mixer import Mixer
from .pwclite import LIGHT as LIGHT_FLOW
from .pwclite import Features, PWCLite, PWCLiteConfig
from .quality import MIDDLE, Quality, frame_beside, movement, share_of_coding, statistics
from .s2svr import S2SVR, State

__all__ = [
    "Blurred",
    "ConvGRU",
    "Earlier",
    "EarlierConfig",
    "Exposure",
    "Features",
    "Flows",
    "MIDDLE",
    "MODELS",
    "Mixer",
    "PRESETS",
    "PWCLite",
    "PWCLiteConfig",
    "Quality",
    "ResConvGRU",
    "S2SVR",
    "S2SVRConfig",
    "State",
    "along_channels",
    "bands",
    "chain_flows",
    "contrasts",
    "cut_flows",
    "flow_on_grid",
    "frame_beside",
    "frames_around",
    "movement",
    "share_of_coding",
    "sharpness",
    "signs",
    "statistics",
]

MODELS = {
    "s2svr": (S2SVR, S2SVRConfig),
    "pwclite": (PWCLite, PWCLiteConfig),
    "earlier": (Earlier, EarlierConfig),
}

LIGHT = S2SVRConfig(
    channels=32,
    encoder_layers=1,
    encoder_blocks=3,
    decoder_layers=1,
    decoder_blocks=4,
    feedback=8,
    attention=8,
    tail=0,
    slim=True,
    flow=LIGHT_FLOW,
)
REMEMBERS = replace(LIGHT, bidirectional=True, deep=True, warm=4)
BASE = replace(
    REMEMBERS, channels=64, encoder_blocks=6, decoder_blocks=8, feedback=16, attention=16
)
# Memories alone carry what other frames show: no attention to neighbours, no output fed back.
MEMORY = replace(REMEMBERS, radius=0, attention=0, feedback=0)
LIGHT_FULL_SIZE = replace(LIGHT, scale=1, down=2, flow_down=4, detail=True)
BASE_FULL_SIZE = replace(BASE, scale=1, down=2, flow_down=4, detail=True)
PAPER = S2SVRConfig()
PAPER_FULL_SIZE = replace(PAPER, scale=1, channels=48, feedback=48, attention=48, tail=48)

PRESETS: dict[str, S2SVRConfig | PWCLiteConfig] = {
    "sr-light": REMEMBERS,
    "sr-base": BASE,
    "sr-memory": MEMORY,
    "sr-real": REMEMBERS,
    "sr-real-base": BASE,
    "deblur-light": replace(
        LIGHT_FULL_SIZE, neighbours=6, exposure=192, along=True, confidence=True
    ),
    "compression-light": replace(
        LIGHT_FULL_SIZE, neighbours=3, aligned=True, quality=96, confidence=True, flow_down=2
    ),
    "deblur-base": replace(BASE_FULL_SIZE, neighbours=6, exposure=192, along=True, confidence=True),
    "compression-base": replace(
        BASE_FULL_SIZE, neighbours=3, aligned=True, quality=96, confidence=True, flow_down=2
    ),
    "sr-paper": PAPER,
    "deblur-paper": PAPER_FULL_SIZE,
    "compression-paper": PAPER_FULL_SIZE,
    "flow-light": LIGHT_FLOW,
    "flow-paper": PWCLiteConfig(),
}
