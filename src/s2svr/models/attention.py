"""The decoder's attention to the latent vectors around a frame (Eq. 5-7)."""

import torch
from torch import Tensor, nn

OWN = 3.0  # a fresh network attends to the frame itself, nine parts of ten


class LocalAttention(nn.Module):
    """Context vector of Eq. 5-7: one weight per pixel and neighbouring frame."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        # W_a [s, z] = W_s s + W_z z: the query's half is computed once for all neighbours.
        self.query = nn.Conv2d(channels, hidden, 3, padding=1)
        self.key = nn.Conv2d(channels, hidden, 3, padding=1, bias=False)
        self.score = nn.Conv2d(hidden, 1, 1)
        self.own = nn.Parameter(torch.tensor(OWN))  # added to the frame's own score

    def forward(self, s: Tensor, latents: list[Tensor]) -> tuple[Tensor, Tensor]:
        """s_{i-1} and the latent vectors of frame i and its neighbours, all warped to frame i.

        Returns c_i (B, C, h, w) and the weights alpha (B, n, h, w), which sum to 1 over n.
        """
        query = self.query(s)
        scores = [self.score((query + self.key(z)).tanh_()) for z in latents]  # Eq. 7
        scores[0] = scores[0] + self.own
        alpha = torch.softmax(torch.cat(scores, 1), 1).type_as(latents[0])  # Eq. 6
        c = alpha[:, :1] * latents[0]
        for n, z in enumerate(latents[1:], 1):
            c = c + alpha[:, n : n + 1] * z  # Eq. 5
        return c, alpha
