"""What is taken for JSON, and what it costs to find out."""

import pytest

from shirase.errors import Malformed
from shirase.web.json_body import MAX_BODY, check_json


@pytest.mark.timeout(30)
def test_a_name_given_twice_is_found_among_any_number() -> None:
    """Counting each name would take minutes for one body, and any user may send it."""
    names = [f'"{number:x}":1' for number in range(100_000)]
    body = "{" + ",".join([*names, names[-1]]) + "}"
    assert len(body) < MAX_BODY
    with pytest.raises(Malformed, match="the name '1869f' is given twice"):
        check_json(body.encode())
