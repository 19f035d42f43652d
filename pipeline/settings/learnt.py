"""What tables and figures tell of an objective; apart from it, for its other keys concern none of them."""

from pydantic import Field

from pipeline.settings.base import Settings


class Learnt(Settings):
    """What a trained variant has learnt from."""

    nce: float = Field(ge=0, description="Weight of L_nce")
    taught: bool = Field(description="Whether a term compares with a teacher's references")
    only_nce: bool = Field(
        description="Whether it is CoRe-KD, or differs from it in the weight of L_nce alone"
    )
