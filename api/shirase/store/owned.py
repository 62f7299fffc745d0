"""Which user owns the rows of a table. Each table declares it; erasure and export follow the declarations."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owned:
    """A table with rows of users. Erasure removes them, and the export contains them."""

    by: tuple[str, ...] = ("user_id",)  # columns with a user's id; the row belongs to each of these users
    order: tuple[str, ...] | None = None  # columns that, after ``by``, are unique and have an index; None: of the key
    json: tuple[str, ...] = ()  # text columns that hold JSON
    withheld: tuple[str, ...] = ()  # columns that the export leaves out: secrets, and internal values
    exported: bool = True  # false for internal bookkeeping


NOBODY = Owned(by=(), exported=False)  # no row belongs to a user
