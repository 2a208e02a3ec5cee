"""What a network of the paper is made of."""

from dataclasses import dataclass

from .pwclite import PWCLiteConfig


@dataclass(frozen=True)
class S2SVRConfig:
    """Sizes of the network."""

    scale: int = 4  # of the output against the input: 4 super-resolution, 1 otherwise
    down: int = 1  # pixel-unshuffle of the input: the states live on a grid so much smaller
    channels: int = 64
    encoder_layers: int = 6
    encoder_blocks: int = 6  # residual blocks F_b after each ConvGRU F_g (Eq. 9)
    decoder_layers: int = 6
    decoder_blocks: int = 12
    feedback: int = 64  # channels of the features of y_{i-1} (Eq. 4); 0: it is not fed back
    attention: int = 64  # channels inside the attention's feed-forward network (Eq. 7)
    radius: int = 1  # r of Eq. 5; 0, and attention 0: the context is the frame's latent vector
    bidirectional: bool = False  # first encoder layer in both directions, as in the release
    warm: int = 7  # extra frames that a bidirectional layer's backward sweep starts ahead
    tail: int = 64  # channels of the staged x2 upsampling in F_f; 0: one convolution
    detail: bool = False  # frames are seen with their detail, and changed in small steps
    neighbours: int = 0  # frames on each side that are mixed into each, as they lie
    aligned: bool = False  # or as the flow aligns them
    mixing: int = 24  # channels of the network that mixes them
    exposure: int = 0  # and of the one that tells their shares of whole frames; 0: none
    quality: int = 0  # and of the one that tells how well a frame was coded; 0: none
    along: bool = False  # frames are seen, and changed, along their motion
    # What share of a frame's change is made is told too, by how well it was coded, or how blurred
    # along its motion it is.
    confidence: bool = False
    slim: bool = False  # layers as ``gru.ResConvGRU`` says, and a LeakyReLU after the first one
    deep: bool = False  # slim layers that remember what their blocks make
    flow: PWCLiteConfig | None = PWCLiteConfig()  # None: no motion compensation
    flow_down: int = 1  # the frames are so much smaller where the flow is estimated

    def __post_init__(self) -> None:
        if isinstance(self.flow, dict):  # comes from JSON
            object.__setattr__(self, "flow", PWCLiteConfig(**self.flow))
        least = {
            "channels": 1,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "feedback": 0,
            "attention": 0,
        }
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"expected {name} of at least {bound}, got {getattr(self, name)}")
        if self.radius and not self.attention:
            raise ValueError(f"expected attention for a radius of {self.radius}, got none")
        if self.scale * self.down not in (1, 2, 4):
            raise ValueError(f"expected scale x down of 1, 2 or 4, got {self.scale} x {self.down}")
        if self.neighbours and self.scale > 1:
            raise ValueError(
                f"expected neighbours at a scale of 1, got {self.neighbours} at {self.scale}"
            )
        if self.exposure and (self.aligned or not self.neighbours):
            raise ValueError(
                f"expected exposure with neighbours that are not aligned, got {self.neighbours} "
                f"neighbours and aligned={self.aligned}"
            )
        if self.along and self.scale > 1:
            raise ValueError(f"expected along at a scale of 1, got a scale of {self.scale}")
        if self.quality and not self.aligned:
            raise ValueError(
                f"expected quality with aligned neighbours, got {self.neighbours} neighbours and "
                f"aligned={self.aligned}"
            )
        if self.confidence and not (self.quality or (self.along and self.exposure)):
            raise ValueError(
                "expected confidence with quality, or with along and exposure, got a quality of "
                f"{self.quality}, along={self.along} and an exposure of {self.exposure}"
            )
        if self.deep and not (self.slim and self.encoder_blocks and self.decoder_blocks):
            raise ValueError(
                f"expected deep with slim layers that have blocks, got slim={self.slim} and "
                f"{self.encoder_blocks} and {self.decoder_blocks} blocks"
            )
        if self.flow_down not in (self.down, 2 * self.down, 4 * self.down):
            raise ValueError(
                f"expected flow_down of 1, 2 or 4 times down, got {self.flow_down} and {self.down}"
            )

    @property
    def reach(self) -> int:
        """Flow is known from a frame to so many on each side of it."""
        return max(self.radius, self.neighbours if self.aligned else 0, 1)
