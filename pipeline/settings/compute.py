"""Where and how torch computes: the base of the settings of every stage that runs a network."""

from typing import Literal

from pydantic import Field

from pipeline.settings.base import Settings


class ComputeSettings(Settings):
    """What `pipeline.core.device.prepare` asks for."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes a GPU where one is visible; cuda makes a missing GPU an error"
    )
    threads: int = Field(1, ge=1, le=256, description="torch's CPU threads in a job; sums depend on it")


class EncodingSettings(ComputeSettings):
    """The same of the stages that run an encoder."""

    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the encoder's products; `auto` of the configuration is settled before"
    )
