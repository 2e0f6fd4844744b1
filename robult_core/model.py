"""Robult (section 2, Fig. 3): M unimodal branches, a fusion branch, and three losses.

Modules: f_i encodes modality i and f_0 all of them jointly, g_i extracts what is unique, g_0 what
is shared (redundant), r_i reconstructs, c classifies. Vectors: h is a latent, u its unique part,
z its shared part, s the shared part of the fused latent.

    h_i = f_i(x_i)    u_i = g_i(h_i)    z_i = g_0(h_i)    h_0 = f_0(x_1..x_M)    s = g_0(h_0)
    one modality: c(u_i + z_i)    several: the mean of these logits    all of them: c(h_0)

Reading n is row n of the table "Where the paper is ambiguous" in notebook 03.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robult_core.encoders import JointEncoder, ResidualMLP, Spec
from robult_core.fused_loss import fused_soft_pu_loss
from robult_core.losses import SoftPULoss, SoftPUOptions, latent_reconstruction_loss
from robult_core.method import (
    Batch,
    Method,
    inputs_there,
    make_classifier,
    make_encoders,
    mean_over_present,
)
from robult_core.tasks import FUSION_RULE, LateFusion, Task
from robult_core.validation import Count, Rate, Weight, validated


@validated
class RobultConfig(SoftPUOptions):
    """Every choice that the paper leaves open (readings 3 to 21); one setting for all data sets."""

    # d, which the paper does not state; 256 was no better in a trial and twice as slow
    width: Count = 128
    # units of a ReLU layer inside g_i and g_0; None is one linear map each. Our choice, notebook 08
    bottleneck: Count | None = None
    # of the encoders (reading 23); chosen by `robult search` (see notebook 04)
    dropout: Rate = 0.24
    # weights of L_sup, L_lb, L_ulb and L_rec, unstated in the paper (reading 16); the third was
    # chosen by `robult search` (see notebook 04)
    supervised_weight: Weight = 1.0
    labeled_weight: Weight = 1.0
    unlabeled_weight: Weight = 3.3
    reconstruction_weight: Weight = 1.0
    # how u and z meet before c: their sum, or a linear map of both (reading 11)
    combine: Literal["sum", "concat"] = "sum"
    # what c sees of the fused branch: h_0, as in Fig. 3b, or s (reading 12)
    full_input: Literal["h", "s"] = "h"
    # whether f_0 works on the raw inputs or on the latents h_i (reading 13)
    fusion: Literal["inputs", "latents"] = "inputs"
    # whether L_rec reaches only g_i and r_i, or also f_i (reading 14)
    reconstruction_updates: Literal["g", "f"] = "g"
    # what late fusion averages over the modalities (reading 17)
    late_fusion: LateFusion = FUSION_RULE

    def soft_pu_options(self) -> dict[str, Any]:
        """The options of `losses.soft_pu_loss` among them."""
        return {field.name: getattr(self, field.name) for field in fields(SoftPUOptions)}


class Robult(Method):
    """The paper's model on any number of modalities.

    specs: modality name -> sample shape `(F,)` or `(T, F)`, a feature width, or an `nn.Module` that
        yields `(B, width)`.
    joint: an `nn.Module` from the mapping of inputs to `(B, width)`, in place of the built-in f_0;
        it is needed where a spec is a module. With `fusion="latents"` f_0 works on the h_i, and a
        joint network raises ValueError.
    """

    takes_joint = True
    learning_rate = 3.7e-3  # chosen by `robult search` (see notebook 04)
    config: RobultConfig

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: RobultConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.task = task
        self.names = tuple(specs)
        self.config = config or RobultConfig()
        width = self.config.width
        self.f = make_encoders(specs, width, self.config.dropout)
        self.f0 = self._fusion_network(specs, joint)
        self.g = nn.ModuleList(self._extractor() for _ in self.names)
        self.g0 = self._extractor()
        self.r = nn.ModuleList(nn.Linear(2 * width, width) for _ in self.names)
        self.join = nn.Linear(2 * width, width) if self.config.combine == "concat" else None
        self.c = make_classifier(width, task.n_outputs)

    def _fusion_network(self, specs: Mapping[str, Spec], joint: nn.Module | None) -> nn.Module:
        """f_0 on the raw inputs, or on the h_i side by side (reading 13)."""
        width, dropout = self.config.width, self.config.dropout
        if self.config.fusion == "latents":
            if joint is not None:
                raise ValueError(
                    "Robult got a joint network and fusion 'latents', which needs none: "
                    "leave joint out, or choose fusion='inputs'"
                )
            return ResidualMLP(len(self.names) * width, width, dropout)
        if joint is not None:
            return joint
        return JointEncoder(specs, width, dropout)

    def _extractor(self) -> nn.Module:
        """One g: a linear map, or a narrow ReLU layer that cannot keep all of h (notebook 08)."""
        width, narrow = self.config.width, self.config.bottleneck
        if narrow is None:
            return nn.Linear(width, width)
        return nn.Sequential(nn.Linear(width, narrow), nn.ReLU(), nn.Linear(narrow, width))

    # --- the modules of Fig. 3 ------------------------------------------------------------------

    def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch dim"]]:
        """h_i = f_i(x_i) of the modalities given, by name."""
        return {name: self._f(name)(inputs[name]) for name in self.check_inputs(inputs)}

    def unimodal_encoders(self) -> nn.ModuleList:
        return self.f

    def fuse(
        self, inputs: Mapping[str, Tensor], h: Mapping[str, Tensor] | None = None
    ) -> Float[Tensor, "batch dim"]:
        """h_0 = f_0(x_1..x_M), which needs every modality; `h` saves encoding them again."""
        if self.config.fusion == "inputs":
            return self.f0(inputs)
        if h is None:
            h = self.encode(inputs)
        return self.f0(torch.cat([h[name] for name in self.names], dim=-1))

    def unimodal_input(
        self, u: Float[Tensor, "*rows dim"], z: Float[Tensor, "*rows dim"]
    ) -> Float[Tensor, "*rows dim"]:
        """What c sees of a modality: u_i + z_i, or a linear map of both (reading 11)."""
        if self.join is None:
            return u + z
        return self.join(torch.cat([u, z], dim=-1))

    def fused_input(
        self, h0: Float[Tensor, "batch dim"], s: Float[Tensor, "batch dim"]
    ) -> Float[Tensor, "batch dim"]:
        """What c sees of the fused branch (reading 12)."""
        return h0 if self.config.full_input == "h" else s

    def reconstruct(
        self, h: Float[Tensor, "modalities batch dim"], z: Float[Tensor, "modalities batch dim"]
    ) -> tuple[Float[Tensor, "modalities batch dim"], Float[Tensor, "modalities batch dim"]]:
        """r_i(u_i, z_i) and its target h_i, where z_i and the target are constants (reading 14)."""
        target = h.detach()
        source = target if self.config.reconstruction_updates == "g" else h
        rebuilt = []
        for g_i, r_i, h_i, z_i in zip(self.g, self.r, source, z.detach(), strict=True):
            rebuilt.append(r_i(torch.cat([g_i(h_i), z_i], dim=-1)))
        return torch.stack(rebuilt), target

    def _f(self, name: str) -> nn.Module:
        return self.f[self.names.index(name)]

    def _g(self, name: str) -> nn.Module:
        return self.g[self.names.index(name)]

    # --- the losses (section 2.3) ---------------------------------------------------------------

    def outputs(self, batch: Batch) -> dict[str, Tensor]:
        """One pass through all modules of Fig. 3.

        Latents s `(B, d)` and z `(M, B, d)`, the logits of the full prediction `(B, C)` and of each
        modality's `(M, B, C)`, and the rebuilt h_i with their targets, both `(M, B, d)`.
        """
        inputs = inputs_there(batch)
        by_name = self.encode(inputs)
        h = torch.stack(list(by_name.values()))  # (M, B, d)
        z = self.g0(h)
        u = torch.stack([g_i(h_i) for g_i, h_i in zip(self.g, h, strict=True)])
        h0 = self.fuse(inputs, by_name)
        s = self.g0(h0)
        rebuilt, target = self.reconstruct(h, z)
        return {
            "s": s,
            "z": z,
            "full": self.c(self.fused_input(h0, s)),
            "unimodal": self.c(self.unimodal_input(u, z)),
            "rebuilt": rebuilt,
            "target": target,
        }

    def losses(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """L_sup (of the full and of the unimodal predictions), L_lb, L_ulb and L_rec, weighted."""
        config = self.config
        full, unimodal = outputs["full"], outputs["unimodal"]
        supervised_full = self._supervised_full(full, batch)
        supervised_unimodal = self._supervised_unimodal(unimodal, batch)
        classes = self._classes(full, unimodal, batch)
        soft_pu = self.soft_pu(outputs["s"], outputs["z"], classes, batch.labeled, batch.present)
        reconstruction = _reconstruction(outputs["rebuilt"], outputs["target"], batch.present)
        return {
            "supervised_full": config.supervised_weight * supervised_full,
            "supervised_unimodal": config.supervised_weight * supervised_unimodal,
            "labeled_contrastive": config.labeled_weight * soft_pu.labeled,
            "unlabeled_contrastive": config.unlabeled_weight * soft_pu.unlabeled,
            "reconstruction": config.reconstruction_weight * reconstruction,
        }

    def _supervised_full(self, logits: Tensor, batch: Batch) -> Tensor:
        """The full prediction's part of L_sup (reading 21), on the labelled rows.

        Incomplete rows count too, with zeros for what they lack: where much is missing, hardly a
        labelled row is complete, and f_0 and c would learn nothing from the others.
        """
        usable = batch.labeled
        if batch.present is not None:
            usable = usable & batch.present.any(dim=0)
        return self.task.supervised_loss(logits, batch.targets, usable, batch.weights)

    def _supervised_unimodal(self, logits: Tensor, batch: Batch) -> Tensor:
        """The mean of L_sup over modalities, each on the labelled rows it has (reading 21)."""
        if batch.present is None:  # all have the same rows: the mean of means is one mean
            several = len(logits)
            return self.task.supervised_loss(
                logits.flatten(0, 1),
                torch.cat([batch.targets] * several),
                batch.labeled.repeat(several),
                None if batch.weights is None else batch.weights.repeat(several),
            )
        losses = [
            self.task.supervised_loss(
                logits_i, batch.targets, batch.labeled & present_i, batch.weights
            )
            for logits_i, present_i in zip(logits, batch.present, strict=True)
        ]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _classes(
        self,
        full_logits: Float[Tensor, "batch outputs"],
        unimodal_logits: Float[Tensor, "modalities batch outputs"],
        batch: Batch,
    ) -> Int[Tensor, " batch"]:
        """Labels where they are known and pseudo-labels elsewhere (reading 9).

        A sample that lacks a modality has no full prediction: its pseudo-label comes from the mean
        of the modalities it has.
        """
        logits = full_logits
        if batch.present is not None:
            complete = batch.present.all(dim=0)
            mean_logits = mean_over_present(unimodal_logits, batch.present)
            logits = torch.where(complete[:, None], full_logits, mean_logits)
        return self.task.contrastive_classes(batch.targets, batch.labeled, logits)

    def soft_pu(
        self,
        s: Float[Tensor, "batch dim"],
        z: Float[Tensor, "modalities batch dim"],
        classes: Int[Tensor, " batch"],
        labeled: Bool[Tensor, " batch"],
        present: Bool[Tensor, "modalities batch"] | None,
    ) -> SoftPULoss:
        """L_lb and L_ulb, Eq. 4 to 7; not weighted yet."""
        return fused_soft_pu_loss(
            s,
            z,
            classes,
            labeled,
            labeled_weight=self.config.labeled_weight,
            unlabeled_weight=self.config.unlabeled_weight,
            present=present,
            **self.config.soft_pu_options(),
        )

    # --- prediction and inspection --------------------------------------------------------------

    def predict(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch outputs"]:
        """Scores of the fused branch where every modality is given, of late fusion elsewhere."""
        if self._are_all(inputs):
            return self.task.scores(self.c(self._full_vector(inputs)))
        return self._late_fusion(inputs)

    def predict_variants(
        self, inputs: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, "batch outputs"]]:
        """Late fusion of all modalities, which is reported beside the fused branch (reading 18)."""
        if self._are_all(inputs):
            return {"late_fusion": self._late_fusion(inputs)}
        return {}

    def classifier_inputs(
        self, inputs: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, "batch dim"]]:
        """The vectors that c sees: one per modality given, and "full" where all of them are.

        Ablation 1 of Table 3 fits linear models on them.
        """
        vectors = {name: self._unimodal_vector(name, inputs) for name in self.check_inputs(inputs)}
        if self._are_all(inputs):
            vectors["full"] = self._full_vector(inputs)
        return vectors

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "batch dim"]]:
        """h, z and u of each modality given, as "z/text"; with all of them "h0" and "s" too."""
        h = self.encode(inputs)
        latents = {}
        for name, h_i in h.items():
            latents[f"h/{name}"] = h_i
            latents[f"z/{name}"] = self.g0(h_i)
            latents[f"u/{name}"] = self._g(name)(h_i)
        if self._are_all(inputs):
            latents["h0"] = self.fuse(inputs, h)
            latents["s"] = self.g0(latents["h0"])
        return latents

    def _unimodal_vector(self, name: str, inputs: Mapping[str, Tensor]) -> Tensor:
        """What c sees of one modality, `(B, d)`."""
        h = self._f(name)(inputs[name])
        return self.unimodal_input(self._g(name)(h), self.g0(h))

    def _full_vector(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What c sees of all modalities together, `(B, d)`."""
        h0 = self.fuse(inputs)
        if self.config.full_input == "h":
            return h0
        return self.g0(h0)

    def _late_fusion(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores `(B, C)` from the predictions of each modality given (reading 17)."""
        names = self.check_inputs(inputs)
        logits = torch.stack([self.c(self._unimodal_vector(name, inputs)) for name in names])
        return self.task.late_fusion(self.task.scores(logits), self.config.late_fusion)


def _reconstruction(rebuilt: Tensor, target: Tensor, present: Tensor | None) -> Tensor:
    """L_rec, Eq. 10, over the modalities that the samples have."""
    if present is not None:
        rebuilt, target = rebuilt[present], target[present]
    return latent_reconstruction_loss(rebuilt, target)
