"""``homeport replay --resend``: what goes together, and what does not."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from streams.cli.replay import replay

USAGE, ENVIRONMENT = 2, 3
RECORD = "eu.commerce.orders.v1[0]@7#0"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--resend"], "needs --reason"),
        (["--resend", "--reason", ""], "needs --reason"),
        (["--resend", "--reason", "two\nlines"], "one line"),
        (["--resend", "--reason", "x" * 501], "500"),
        (["--record", RECORD], "go with --resend"),
        (["--accepted"], "go with --resend"),
        (["--reason", "x"], "go with --resend"),
        (["--dry-run"], "go with --resend"),
        (["--resend", "--resume", "--accepted"], "asked for first"),
        (["--resend", "--resume", "--dry-run"], "asked for first"),
        (["--topic", "uk.commerce.orders.v1"], "no raw topic"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    tmp_path: Path, words: list[str], why: str
) -> None:
    done = CliRunner().invoke(replay, ["--region", "eu", "--home", str(tmp_path), *words])

    assert done.exit_code == USAGE
    assert why in done.output


@pytest.mark.parametrize(
    "record", ["Ada", "uk.commerce.orders.v1[0]@7#0", "eu.crm.minimal.v1[0]@7"]
)
def test_a_record_that_is_none_of_the_region_s_is_a_usage_error(
    tmp_path: Path, record: str
) -> None:
    services = tmp_path / "eu" / "services"
    services.mkdir(parents=True)
    file = services / "resend.json"
    file.touch(mode=0o600)
    login = '{"bootstrap": "127.0.0.1:1", "username": "resend", "password": "x"}'
    file.write_text(f'{{"region": "eu", "home": "{tmp_path}", "kafka": {login}}}')
    words = ["--resend", "--dry-run", "--record", record]

    done = CliRunner().invoke(replay, ["--region", "eu", "--home", str(tmp_path), *words])

    assert done.exit_code == USAGE
    assert "--record" in done.output
