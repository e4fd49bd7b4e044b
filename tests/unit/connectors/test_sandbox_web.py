"""What the org says of an error of its own."""

import re

import pytest

from connectors.sandbox.web import report


def test_an_unexpected_error_is_given_an_id_that_stderr_names_without_the_errors_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("a row's value")

    text = report(caught.value)

    match = re.fullmatch(
        r"An unexpected error occurred\. Please include this ErrorId if you contact support:"
        r" (\d+-\d+ \(-\d+\))",
        text,
    )
    said = capsys.readouterr().err
    assert match is not None
    assert match[1] in said
    assert "ValueError at test_sandbox_web.py:" in said
    assert "row" not in said
