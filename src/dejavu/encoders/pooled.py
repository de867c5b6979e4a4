"""The last block of a transformer, computed for the one token whose features a CLIP model reads.

Of a sequence's last features a CLIP model reads those of the class token (images) or of the end token (captions). What
the last block makes of the other tokens reaches nothing, so their queries, projection and feed-forward are left out;
their keys and values are not. That is a fifteenth of the operations of a transformer with twelve layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

# not public there, because an edit of that module trains every model again
from dejavu.training.model import _causal_tower
from dejavu.training.openclip import open_clip


class PooledBlock(torch.nn.Module):
    """A block of OpenCLIP's that returns the features of one token of each sequence.

    Args:
        block: OpenCLIP's own block.
        places: int64 (n,), the token of each sequence, which looks at no later one; None: the first, which looks at
            all.
    """

    def __init__(self, block: Any, places: torch.Tensor | None) -> None:
        super().__init__()
        self.block, self.places = block, places

    def get_weight_dtype(self) -> torch.dtype:
        """Return what OpenCLIP asks a transformer's first block for."""
        return self.block.get_weight_dtype()

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return (n, 1, width) of float (n, length, width), or with places (n, length, width), the token everywhere."""
        block, places = self.block, self.places
        keys = block.ln_1(x)
        if places is None:
            chosen, queries, hidden = x[:, :1], keys[:, :1], None
        else:
            at = torch.arange(len(x), device=x.device)
            chosen, queries = (tokens[at, places].unsqueeze(1) for tokens in (x, keys))
            later = torch.arange(x.shape[1], device=x.device) > places.unsqueeze(1)
            # One mask for each head. torch checks a key_padding_mask with SymPy, whose import takes half a second.
            hidden = later.repeat_interleave(block.attn.num_heads, 0).unsqueeze(1)
        attended = block.attn(queries, keys, keys, need_weights=False, attn_mask=hidden)[0]
        chosen = chosen + block.ls_1(attended)
        chosen = chosen + block.ls_2(block.mlp(block.ln_2(chosen)))
        return chosen if places is None else chosen.expand(x.shape)


@contextmanager
def only_pooled(transformer: Any, places: torch.Tensor | None = None) -> Iterator[None]:
    """Let the last block of a transformer compute one token alone within; leave it as it is where it is not OpenCLIP's.

    Args:
        transformer: of OpenCLIP, or None.
        places: as :class:`PooledBlock` takes them.
    """
    blocks = getattr(transformer, "resblocks", None)
    if not blocks or type(blocks[-1]) is not open_clip.transformer.ResidualAttentionBlock:
        yield
        return
    last = blocks[-1]
    blocks[-1] = PooledBlock(last, places)
    try:
        yield
    finally:
        blocks[-1] = last


def at_ends(model: Any, tokens: torch.Tensor) -> AbstractContextManager[None]:
    """Let the text tower of a model compute the last features of each text's end alone within, where it can.

    Args:
        model: of OpenCLIP, or another.
        tokens: int64 (n, length), what is embedded within.
    """
    tower = _causal_tower(model)
    if tower is None:
        return nullcontext()
    ends = tokens.argmax(dim=-1) if tower.pool == "argmax" else (tokens == tower.eos).int().argmax(dim=-1)
    return only_pooled((model if type(model) is open_clip.CLIP else model.text).transformer, ends)


def image_transformer(model: Any) -> Any:
    """Return the transformer of the image tower of a model that reads its first token alone; None of any other."""
    tower: Any = getattr(model, "visual", None)
    if type(tower) is not open_clip.transformer.VisionTransformer or tower.output_tokens:
        return None
    return tower.transformer if tower.attn_pool is None and tower.pool_type == "tok" else None
