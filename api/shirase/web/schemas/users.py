"""Users, as operators see them."""

from typing import Literal

from pydantic import BaseModel


class ErasingView(BaseModel):
    """An erasure that the relay continues."""

    user_id: str
    status: Literal["erasing"]
