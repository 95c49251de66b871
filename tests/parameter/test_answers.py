"""What answers say."""

import pytest

from elephas_torch.errors import (
    Fenced,
    Refused,
    Restarted,
    ServerError,
    Unreachable,
    WaitTimeout,
)
from elephas_torch.parameter.answers import as_error, parsed
from elephas_torch.parameter.routes import error_body

URL = "http://server:1"


@pytest.mark.parametrize(
    "error",
    [Refused("no", 413), Fenced("replaced"), Restarted("anew"), WaitTimeout("late"),
     ServerError("broken")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_an_error_of_the_server_s_is_the_same_here(error):
    status, data = error_body(error)
    found = as_error(status, data, URL)
    assert type(found) is type(error) and str(found) == str(error)
    assert getattr(found, "status", None) == getattr(error, "status", None)


@pytest.mark.parametrize(
    ("status", "data", "kind", "says"),
    [
        (400, b'{"reason": "bad"}', Refused, "bad"),
        (404, b'["no", "dict"]', Refused, "['no', 'dict']"),
        (408, b'{"error": "refused", "reason": "slow"}', Unreachable, "slow"),
        (503, b'{"error": "refused", "reason": "full"}', Unreachable, "full"),
        (502, b"", ServerError, "{}"),
    ],
)
def test_who_else_answers_is_told_by_the_status(status, data, kind, says):
    found = as_error(status, data, URL)
    assert type(found) is kind and str(found) == says


def test_data():
    assert parsed(b'{"a": 1}', URL) == {"a": 1} and parsed(b"", URL) == {}
    with pytest.raises(ServerError, match="http://server:1 answered with something unreadable"):
        parsed(b"<html>", URL)
