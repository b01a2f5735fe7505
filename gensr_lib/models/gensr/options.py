"""Options of GenSR, and which of them go together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ...config import BackboneConfig, Config
from ..layers import check_heads
from ..recommendation.lightgcn import LightGCNConfig


class GenSRConfig(Config):
    """Options of GenSR: the released values where known, and the switches of the ablations."""

    history: int = Field(
        20, ge=1, description="N, the most recent items of both behaviors (released: 20)"
    )
    layers: int = Field(1, ge=1, description="layers of each history encoder (released: 1)")
    heads: int = Field(2, ge=1, description="heads of encoders and soft filter (released: 2)")
    dropout: float = Field(0.1, ge=0, lt=1)
    item_tokens: int = Field(10, ge=1, description="tokens used of an item's text (released: 10)")
    beta: float = Field(0.01, ge=0, description="weight of eq. 10 in eq. 8 (released: 0.01)")
    tau: float = Field(0.07, gt=0, description="temperature of eq. 10 (released: 0.07)")
    semantic_level: Literal["item", "token"] = Field(
        "item", description="the paper: one vector per item; the released code: one per token"
    )
    cf_view: bool = Field(True, description="False: the ablation without the CF view")
    semantic_view: bool = Field(True, description="False: the ablation without the semantic view")
    contrastive: bool = Field(True, description="False: the ablation without eq. 10")
    contrastive_form: Literal["paper", "released"] = Field(
        "paper",
        description="'released': the authors' code, where tau acts like tau / d', on filtered "
        "vectors",
    )
    history_slot: Literal["filtered", "mean", "sequence"] = Field(
        "filtered", description="what stands for the history: eq. 6, its average, C_u and S_u"
    )
    history_of: Literal["both", "rec", "src"] = Field("both", description="behaviors in it")
    task_prompts: bool = Field(True, description="False: one prompt text for both tasks")
    trained_on: Literal["both", "rec", "src"] = Field("both", description="tasks that it serves")
    cf_vectors: Literal["lightgcn", "random"] = Field("lightgcn", description="'random': noise")
    one_way: bool = Field(False, description="text does not see the slots: faster; not the paper's")

    cf_filter_start: Literal["random", "aligned"] = Field(
        "random", description="'aligned': W_Q, W_K, W_V of the CF view begin as the identity"
    )
    reader: Literal["t5", "mlp"] = Field(
        "t5", description="what reads the slots; 'mlp': a perceptron, the control without T5"
    )

    @model_validator(mode="after")
    def _some_view(self) -> GenSRConfig:
        if not (self.cf_view or self.semantic_view):
            raise ValueError("cf_view and semantic_view are both off; keep one")
        return self


def check_widths(
    config: GenSRConfig, language_model: BackboneConfig, lightgcn: LightGCNConfig
) -> None:
    """The heads must divide the widths that they work on.

    Raises:
        ConfigError: they do not. The width of a folder or of the hub's model is not known before it
            is loaded, and is checked then.
    """
    if config.cf_view:
        check_heads(lightgcn.width, config.heads, "width of lightgcn", "heads of gensr")
    if config.semantic_view and language_model.name == "pocket":
        check_heads(language_model.d_model, config.heads, "backbone.d_model", "heads of gensr")
