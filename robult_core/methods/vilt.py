"""A real ViLT as the frozen backbone of Prompt-Trans, from a local folder in the `transformers` layout (optional extra).

Inputs by name: "text" `(B, T)` token ids, padded with the tokenizer's pad id; "image" `(B, 3, H, W)` normalised pixels of one size per
batch, sides multiples of the patch. A container of `(N, T, F)` arrays may carry images as `(N, 3, H * W)` squares and ids as floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robult_core.methods.vit import attend


class ViltBlock(nn.Module):
    """One pre-trained layer with the signature of `vit.Block`, so that both types of prompts fit."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(
        self, x: Tensor, prompt: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        layer, attention = self.layer, self.layer.attention.attention
        normed = layer.layernorm_before(x)
        query, key, value = attention.query(normed), attention.key(normed), attention.value(normed)
        x = x + layer.attention.output(
            attend(query, key, value, attention.num_attention_heads, prompt, mask), x
        )
        return layer.output(layer.intermediate(layer.layernorm_after(x)), x)


def load_vilt(folder: str) -> nn.Module:
    """ViltModel from local files only; ValueError where the folder holds none."""
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
    return ViltModel.from_pretrained(folder, local_files_only=True, add_pooling_layer=False)


def resized(table: Tensor, size: tuple[int, ...]) -> Tensor:
    """Positions `(n, D)` or `(h, w, D)` interpolated linearly to `size`, unchanged where it fits."""
    if tuple(table.shape[:-1]) == size:
        return table
    mode = "linear" if len(size) == 1 else "bilinear"
    return F.interpolate(table.movedim(-1, 0)[None], size=size, mode=mode, align_corners=True)[
        0
    ].movedim(0, -1)


class ViltBackbone(nn.Module):
    """`embed`, `blocks` and `norm` of Prompt-Trans on ViLT: tokens are [text | image CLS | patches]; the readout is the text [CLS]."""

    def __init__(self, folder: str, names: tuple[str, ...]) -> None:
        super().__init__()
        if set(names) != {"text", "image"}:
            raise ValueError(
                f"ViLT reads the modalities 'text' and 'image', got {list(names)}: rename them or drop vilt_folder"
            )
        model = load_vilt(folder)
        self.names, self.config, self.width = names, model.config, model.config.hidden_size
        self.pad = (
            model.config.pad_token_id or 0
        )  # BERT's; configurations of published checkpoints may leave it out
        self.embeddings, self.norm = model.embeddings, model.layernorm
        self.blocks = nn.ModuleList(ViltBlock(layer) for layer in model.encoder.layer)

    def _text(self, ids: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens `(B, T, D)` and their mask; a missing text is the empty string, its own first and last token."""
        parts = self.embeddings.text_embeddings
        mask = ids != self.pad
        last = (mask * torch.arange(1, ids.shape[1] + 1, device=ids.device)).amax(
            dim=1, keepdim=True
        ).clamp(min=1) - 1
        empty = torch.full_like(ids, self.pad)
        empty[:, 0], empty[:, 1] = ids[:, 0], ids.gather(1, last)[:, 0]
        ids = torch.where(present[:, None], ids, empty)
        mask = (ids != self.pad).index_fill(1, torch.tensor([0], device=ids.device), True)
        positions = resized(
            parts.position_embeddings.weight,
            (max(ids.shape[1], self.config.max_position_embeddings),),
        )
        x = (
            parts.word_embeddings(ids)
            + parts.token_type_embeddings.weight[0]
            + positions[: ids.shape[1]]
        )
        return parts.dropout(parts.LayerNorm(x)), mask

    def _image(self, pixels: Tensor, present: Tensor) -> Tensor:
        """Tokens `(B, 1 + patches, D)`; a missing image is all ones, white after normalisation."""
        parts = self.embeddings
        if pixels.ndim == 3:
            pixels = pixels.unflatten(-1, (math.isqrt(pixels.shape[-1]),) * 2)
        patches = parts.patch_embeddings(
            torch.where(present[:, None, None, None], pixels, torch.ones_like(pixels))
        )
        side = math.isqrt(parts.position_embeddings.shape[1] - 1)
        table = parts.position_embeddings[0]
        positions = resized(table[1:].unflatten(0, (side, side)), tuple(patches.shape[2:])).flatten(
            0, 1
        )
        x = torch.cat(
            [parts.cls_token.expand(len(pixels), -1, -1), patches.flatten(2).transpose(1, 2)], dim=1
        )
        return parts.dropout(x + torch.cat([table[:1], positions]))

    def _dummy(self, name: str, n: int, device: torch.device) -> Tensor:
        """Stands for a modality that is not given at all: [CLS][SEP] of the BERT vocabulary, or a blank image of the native size."""
        if name == "text":
            return torch.tensor([[101, 102]], device=device).repeat(n, 1)
        return torch.ones(
            n,
            self.config.num_channels,
            self.config.image_size,
            self.config.image_size,
            device=device,
        )

    def embed(self, inputs: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        n, device = len(present), present.device
        given = {
            name: inputs[name] if name in inputs else self._dummy(name, n, device)
            for name in self.names
        }
        has = dict(zip(self.names, present.T, strict=True))
        text, mask = self._text(given["text"].long(), has["text"])
        image = self._image(given["image"], has["image"])
        kinds = self.embeddings.token_type_embeddings.weight
        mask = torch.cat([mask, mask.new_ones(image.shape[:2])], dim=1)
        return torch.cat([text + kinds[0], image + kinds[1]], dim=1), mask
