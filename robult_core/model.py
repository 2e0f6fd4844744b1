"""Robult (section 2, Fig. 3): M unimodal branches, a fusion branch, and three losses with their own gradient routes.

Letters and words: f_i encoder of modality i, f_0 joint encoder, g_i what is unique, g_0 what is shared (redundant), r_i reconstruction,
c classifier; h latent, u unique part, z shared part, s shared part of the fused latent.

    h_i = f_i(x_i)    u_i = g_i(h_i)    z_i = g_0(h_i)    h_0 = f_0(x_1..x_M)    s = g_0(h_0)
    one modality: c(u_i + z_i)    several: mean of their scores    all of them: c(h_0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from robult_core.distributed import gather
from robult_core.encoders import JointEncoder, ResidualMLP, Spec, make_encoder
from robult_core.losses import (
    NORMALIZERS,
    REFERENCES,
    WEIGHTINGS,
    latent_reconstruction_loss,
    soft_pu_loss,
)
from robult_core.method import Batch, Method, complete_rows
from robult_core.tasks import LATE_FUSION, Task


@dataclass(frozen=True)
class RobultConfig:
    """Every choice the paper leaves open (readings 3-21, listed in notebook 03); the numbers come from the search of notebook 04, one setting for all data."""

    width: int = 128  # d; 256 was no better in a trial and twice as slow
    bottleneck: int | None = (
        None  # g_i and g_0 through a ReLU layer of so many units; None: one linear map each (notebook 08)
    )
    dropout: float = 0.3  # reading 23
    temperature: float = 0.3  # tau of Eq. 2; searched, notebook 04
    bandwidth: float | None = None  # RBF of Eq. 5; None: adaptive (reading 7)
    supervised_weight: float = (
        1.0  # weights of L_sup, L_lb, L_ulb, L_rec: unstated in the paper (reading 16)
    )
    labeled_weight: float = 1.0
    unlabeled_weight: float = 2.0  # searched, notebook 04
    reconstruction_weight: float = 1.0
    combine: str = "sum"  # u and z before c: "sum" or "concat" (reading 11)
    full_input: str = "h"  # what c sees of the fused branch: "h" or "s" (reading 12)
    fusion: str = "inputs"  # f_0 on the raw "inputs" or on the "latents" h_i (reading 13)
    reconstruction_updates: str = (
        "g"  # L_rec reaches g_i and r_i, or also f_i: "g" or "f" (reading 14)
    )
    late_fusion: str = "probabilities"  # mean of "probabilities", of "logits", or "confidence"-weighted (reading 17)
    weighting: str = "rbf"  # the rest: switches of `losses.soft_pu_loss`
    reference: str = "own"
    normalizer: str = "count"
    weight_gradient: bool = False

    def __post_init__(self) -> None:
        known = {
            "combine": ("sum", "concat"),
            "full_input": ("h", "s"),
            "fusion": ("inputs", "latents"),
            "reconstruction_updates": ("g", "f"),
            "late_fusion": LATE_FUSION,
            "weighting": WEIGHTINGS,
            "reference": REFERENCES,
            "normalizer": NORMALIZERS,
        }
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}: choose one of {', '.join(values)}"
                )
        for name in ("width", "bottleneck", "temperature", "bandwidth"):
            value = getattr(self, name)
            if not ((value is None and name in ("bottleneck", "bandwidth")) or value > 0):
                raise ValueError(f"{name} is {value}: it must be positive")


class Robult(Method):
    """The paper's model on any number of modalities.

    specs: modality name -> sample shape `(F,)` or `(T, F)`, a feature width, or an `nn.Module` yielding `(B, width)`.
    joint: an `nn.Module` from the mapping of inputs to `(B, width)`, in place of the built-in f_0; needed where a spec is a module.
    """

    def __init__(
        self,
        task: Task,
        specs: Mapping[str, Spec],
        config: RobultConfig | None = None,
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.task, self.names, self.config = task, tuple(specs), config or RobultConfig()
        width, dropout = self.config.width, self.config.dropout
        self.f = nn.ModuleList(make_encoder(spec, width, dropout) for spec in specs.values())
        if self.config.fusion == "latents":
            self.f0 = ResidualMLP(
                len(self.names) * width, width, dropout
            )  # of the h_i side by side (reading 13)
        else:
            self.f0 = joint if joint is not None else JointEncoder(specs, width, dropout)
        self.g = nn.ModuleList(self._part() for _ in self.names)
        self.g0 = self._part()
        self.r = nn.ModuleList(nn.Linear(2 * width, width) for _ in self.names)
        self.join = nn.Linear(2 * width, width) if self.config.combine == "concat" else None
        self.c = nn.Linear(width, task.n_outputs)

    def _part(self) -> nn.Module:
        """One g: a linear map of full width, or through a narrow ReLU layer that cannot keep all of h (notebook 08)."""
        width, narrow = self.config.width, self.config.bottleneck
        if narrow is None:
            return nn.Linear(width, width)
        return nn.Sequential(nn.Linear(width, narrow), nn.ReLU(), nn.Linear(narrow, width))

    # --- forward pieces -------------------------------------------------------------------------------------------------

    def encode(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """h_i of the modalities given, name -> `(B, d)`."""
        return {
            name: self.f[self.names.index(name)](inputs[name]) for name in self.check_inputs(inputs)
        }

    def fuse(self, inputs: Mapping[str, Tensor], h: Mapping[str, Tensor]) -> Tensor:
        """h_0 `(B, d)`; needs every modality."""
        return self.f0(
            torch.cat([h[name] for name in self.names], dim=-1)
            if self.config.fusion == "latents"
            else inputs
        )

    def unimodal_input(self, u: Tensor, z: Tensor) -> Tensor:
        """What c sees of a modality, `(..., d)`: u_i + z_i, or a linear map of both (reading 11)."""
        return u + z if self.join is None else self.join(torch.cat([u, z], dim=-1))

    def fused_input(self, h0: Tensor, s: Tensor) -> Tensor:
        """What c sees of the fused branch, `(B, d)` (reading 12)."""
        return h0 if self.config.full_input == "h" else s

    def reconstruct(self, h: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """r_i(u_i, z_i) and its target h_i, all `(M, B, d)`, routed for L_rec: z_i and the target carry no gradient (reading 14)."""
        source = h.detach() if self.config.reconstruction_updates == "g" else h
        pairs = zip(self.g, self.r, source, z.detach(), strict=True)
        return torch.stack(
            [r(torch.cat([g(one), shared], dim=-1)) for g, r, one, shared in pairs]
        ), h.detach()

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted L_sup (split into full and unimodal), L_lb, L_ulb and L_rec of section 2 on one batch."""
        config, task = self.config, self.task
        full = complete_rows(batch)
        present = full.expand(len(self.names), -1) if batch.present is None else batch.present
        encoded = self.encode(batch.inputs)
        h = torch.stack(list(encoded.values()))  # (M, B, d), and so are z and u
        z, u = self.g0(h), torch.stack([g(one) for g, one in zip(self.g, h, strict=True)])
        h0 = self.fuse(batch.inputs, encoded)
        s = self.g0(h0)
        full_logits = self.c(self.fused_input(h0, s))
        single = self.c(self.unimodal_input(u, z))  # (M, B, C)
        unimodal = [
            task.supervised_loss(logits, batch.targets, batch.labeled & row)
            for logits, row in zip(single, present, strict=True)
        ]
        terms = {
            "supervised_full": config.supervised_weight
            * task.supervised_loss(full_logits, batch.targets, batch.labeled & full),
            "supervised_unimodal": config.supervised_weight * torch.stack(unimodal).mean(),
        }
        # a sample that lacks a modality has no full prediction: its pseudo-label comes from the modalities it has (reading 9)
        mean = (single * present[..., None]).sum(0) / present.sum(0)[:, None].clamp(min=1)
        classes = task.contrastive_classes(
            batch.targets, batch.labeled, torch.where(full[:, None], full_logits, mean).detach()
        )
        pu = self.soft_pu(s, z, classes, batch.labeled, present)
        terms["labeled_contrastive"] = config.labeled_weight * pu.labeled
        terms["unlabeled_contrastive"] = config.unlabeled_weight * pu.unlabeled
        rebuilt, target = self.reconstruct(h, z)
        terms["reconstruction"] = config.reconstruction_weight * latent_reconstruction_loss(
            rebuilt[present], target[present]
        )
        return terms

    def soft_pu(self, s: Tensor, z: Tensor, classes: Tensor, labeled: Tensor, present: Tensor):
        """Eq. 4-7 with this configuration, over the samples of all ranks when there are several."""
        config = self.config
        s, classes, labeled = gather(s), gather(classes), gather(labeled)
        z, present = gather(z.transpose(0, 1)).transpose(0, 1), gather(present.T).T
        return soft_pu_loss(
            s,
            z,
            classes,
            labeled,
            temperature=config.temperature,
            bandwidth=config.bandwidth,
            present=present,
            weighting=config.weighting,
            reference=config.reference,
            normalizer=config.normalizer,
            weight_gradient=config.weight_gradient,
        )

    # --- prediction and inspection -----------------------------------------------------------------------------------------

    def classifier_inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The vectors c sees, by name, each `(B, d)`: one per modality given, and "full" when all are (ablation 1 of Table 3)."""
        found = self.latents(inputs)
        seen = {
            name: self.unimodal_input(found[f"u/{name}"], found[f"z/{name}"])
            for name in self.check_inputs(inputs)
        }
        if "h0" in found:
            seen["full"] = self.fused_input(found["h0"], found["s"])
        return seen

    def _late_fusion(self, logits: list[Tensor]) -> Tensor:
        """Scores `(B, C)` from the unimodal logits (reading 17)."""
        return self.task.late_fusion(self.task.scores(torch.stack(logits)), self.config.late_fusion)

    def predict(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores `(B, C)`: the fused branch when every modality is there, late fusion otherwise (readings 17, 18)."""
        seen = self.classifier_inputs(inputs)
        if "full" in seen:
            return self.task.scores(self.c(seen["full"]))
        return self._late_fusion([self.c(vector) for vector in seen.values()])

    def predict_variants(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        seen = self.classifier_inputs(inputs)
        if seen.pop("full", None) is None:
            return {}
        return {"late_fusion": self._late_fusion([self.c(vector) for vector in seen.values()])}

    def latents(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """h, z and u of each modality given ("z/text"); with all of them h0 and s too; each `(B, d)`."""
        h = self.encode(inputs)
        found = {}
        for name, latent in h.items():
            found |= {
                f"h/{name}": latent,
                f"z/{name}": self.g0(latent),
                f"u/{name}": self.g[self.names.index(name)](latent),
            }
        if len(h) == len(self.names):
            found["h0"] = self.fuse(inputs, h)
            found["s"] = self.g0(found["h0"])
        return found
