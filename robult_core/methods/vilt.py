"""A real ViLT as the frozen backbone of Prompt-Trans, from a local folder (optional extra).

The folder has the layout of `transformers`. The inputs are "text", `(B, T)` token ids padded with
the tokenizer's pad id, and "image", `(B, 3, H, W)` normalised pixels of one size per batch, whose
sides are multiples of the patch, or their bytes. A container of `(N, T, F)` arrays may carry images
as `(N, 3, H * W)` squares, and ids as floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robult_core.datasets.files import reading
from robult_core.methods.vit import attend

# [CLS] and [SEP] of the BERT vocabulary: the empty string.
EMPTY_TEXT = (101, 102)


class ViltBlock(nn.Module):
    """One pre-trained layer, called like `vit.Block`, so that both types of prompts fit."""

    layer: Any

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        prompt: Float[Tensor, "batch prompts dim"] | None = None,
        mask: Bool[Tensor, "batch visible"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Tokens after the layer; `prompt` and `mask` as in `vit.attend`."""
        layer = self.layer
        attention = layer.attention.attention
        normed = layer.layernorm_before(x)
        query = attention.query(normed)
        key = attention.key(normed)
        value = attention.value(normed)
        attended = attend(query, key, value, attention.num_attention_heads, prompt, mask)
        x = x + layer.attention.output(attended, x)
        hidden = layer.intermediate(layer.layernorm_after(x))
        return layer.output(hidden, x)  # adds x


def load_vilt(folder: str) -> Any:
    """The ViltModel in a local folder; ValueError where there is none, or no `transformers`."""
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(
            f"no ViLT in '{folder}': put config.json and the weights of a ViLT checkpoint there"
        )
    try:
        from transformers import ViltModel
    except ImportError as error:
        raise ValueError(
            "real ViLT weights need the package 'transformers': install the optional extra"
        ) from error
    with reading(Path(folder), "a ViLT checkpoint", "get its files again", first=""):
        return ViltModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)


def resized(table: Float[Tensor, "*old dim"], size: tuple[int, ...]) -> Float[Tensor, "*new dim"]:
    """Positions on a line or a plane, interpolated linearly to `size`; unchanged where it fits."""
    if tuple(table.shape[:-1]) == size:
        return table
    channels_first = table.movedim(-1, 0)[None]  # (1, D, *old)
    mode = "linear" if len(size) == 1 else "bilinear"
    new = F.interpolate(channels_first, size=size, mode=mode, align_corners=True)
    return new[0].movedim(0, -1)


def normalized(pixels: Tensor) -> Float[Tensor, "batch channels *sides"]:
    """Pixels as ViLT wants them, from -1 to 1; bytes are scaled, numbers are so already."""
    if pixels.is_floating_point():
        return pixels
    return (pixels.float() / 255 - 0.5) / 0.5


class ViltBackbone(nn.Module):
    """`embed`, `blocks` and `norm` of Prompt-Trans on ViLT.

    Tokens are [text | image CLS | patches], and the readout token is the text's [CLS].
    """

    embeddings: Any
    norm: nn.Module

    def __init__(self, folder: str, names: tuple[str, ...]) -> None:
        super().__init__()
        if set(names) != {"text", "image"}:
            raise ValueError(
                f"ViLT reads the modalities 'text' and 'image', got {list(names)}: "
                "rename them or drop vilt_folder"
            )
        model = load_vilt(folder)
        self.names = names
        self.config = model.config
        self.width = model.config.hidden_size
        # Configurations of published checkpoints may leave the pad id out; it is BERT's 0.
        self.pad = model.config.pad_token_id or 0
        self.embeddings = model.embeddings
        self.norm = model.layernorm
        self.blocks = nn.ModuleList(ViltBlock(layer) for layer in model.encoder.layer)

    def embed(
        self, inputs: Mapping[str, Tensor], present: Bool[Tensor, "batch modalities"]
    ) -> tuple[Float[Tensor, "batch tokens dim"], Bool[Tensor, "batch tokens"]]:
        """All tokens, and which of them are no padding."""
        has_it = dict(zip(self.names, present.T, strict=True))
        ids = inputs["text"] if "text" in inputs else self._empty_text(present)
        pixels = inputs["image"] if "image" in inputs else self._blank_image(present)
        text, text_mask = self._text(ids.long(), has_it["text"])
        image = self._image(normalized(pixels), has_it["image"])
        kinds = self.embeddings.token_type_embeddings.weight
        tokens = torch.cat([text + kinds[0], image + kinds[1]], dim=1)
        image_mask = text_mask.new_ones(image.shape[:2])
        return tokens, torch.cat([text_mask, image_mask], dim=1)

    # --- text -----------------------------------------------------------------------------------

    def _text(
        self, ids: Int[Tensor, "batch steps"], present: Bool[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch steps dim"], Bool[Tensor, "batch steps"]]:
        """Text tokens and their mask; a missing text is the empty string."""
        ids = torch.where(present[:, None], ids, self._emptied(ids))
        first = torch.tensor([0], device=ids.device)
        mask = (ids != self.pad).index_fill(1, first, True)
        steps = ids.shape[1]
        table = self.embeddings.text_embeddings.position_embeddings.weight
        longest = max(steps, self.config.max_position_embeddings)
        positions = resized(table, (longest,))[:steps]
        embeddings = self.embeddings.text_embeddings
        kind = embeddings.token_type_embeddings.weight[0]
        x = embeddings.word_embeddings(ids) + kind + positions
        return embeddings.dropout(embeddings.LayerNorm(x)), mask

    def _emptied(self, ids: Tensor) -> Tensor:
        """Of each text only its first and its last token, which are [CLS] and [SEP]."""
        step = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        length = ((ids != self.pad) * step).amax(dim=1, keepdim=True)
        last = length.clamp(min=1) - 1
        empty = torch.full_like(ids, self.pad)
        first, last = ids[:, 0], ids.gather(1, last)[:, 0]
        has_none = first == self.pad  # the text is absent from the data, so its row is zeros
        empty[:, 0] = first.masked_fill(has_none, EMPTY_TEXT[0])
        empty[:, 1] = last.masked_fill(has_none, EMPTY_TEXT[1])
        return empty

    def _empty_text(self, present: Tensor) -> Tensor:
        """Ids that stand for texts which are not given at all."""
        return torch.tensor([EMPTY_TEXT], device=present.device).repeat(len(present), 1)

    # --- image ----------------------------------------------------------------------------------

    def _image(
        self, pixels: Float[Tensor, "batch channels *sides"], present: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch patches dim"]:
        """The image's CLS token and its patches; a missing image is white after normalisation."""
        if pixels.ndim == 3:  # a flattened square
            side = math.isqrt(pixels.shape[-1])
            pixels = pixels.unflatten(-1, (side, side))
        white = torch.ones_like(pixels)
        shown = torch.where(present[:, None, None, None], pixels, white)
        patches = self.embeddings.patch_embeddings(shown)  # (B, D, h, w)
        positions = self._patch_positions((patches.shape[2], patches.shape[3]))
        cls = self.embeddings.cls_token.expand(len(pixels), -1, -1)
        x = torch.cat([cls, patches.flatten(2).transpose(1, 2)], dim=1)
        return self.embeddings.dropout(x + positions)

    def _patch_positions(self, grid: tuple[int, int]) -> Float[Tensor, "patches dim"]:
        """Positions of CLS and of the patches of a grid, from the table of a square image."""
        table = self.embeddings.position_embeddings[0]
        side = math.isqrt(len(table) - 1)
        square = table[1:].unflatten(0, (side, side))
        of_patches = resized(square, grid).flatten(0, 1)
        return torch.cat([table[:1], of_patches])

    def _blank_image(self, present: Tensor) -> Tensor:
        """White images of the native size, for those which are not given at all."""
        size = self.config.image_size
        return torch.ones(len(present), self.config.num_channels, size, size, device=present.device)
