"""Egress's service file says how to get into the org; what it cannot mean is named, not shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_org import fake_config

from schemas.errors import SetupError
from streams.settings import Settings, load_settings


def load(home: Path, **salesforce: Any) -> Settings:
    path = home / "eu/services/egress.json"
    path.parent.mkdir(parents=True)
    config = fake_config(home)
    way_in = {
        "instance_url": config.instance_url,
        "consumer_key": "3MVG9-secret",
        "username": config.username,
        "private_key_file": str(config.private_key_file),
    }
    document = {
        "region": "eu",
        "service": "egress",
        "home": str(home),
        "kafka": {"bootstrap": "127.0.0.1:9092", "username": "egress", "password": "hush"},
        "salesforce": way_in | salesforce,
    }
    path.write_text(json.dumps(document))
    path.chmod(0o600)
    return load_settings(home, "eu", "egress")


def test_a_service_file_may_name_further_apps_and_the_regions_share(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch()
    standby = [{"consumer_key": "next", "client_secret_file": str(secret)}]

    settings = load(tmp_path, standby=standby, api_share=0.3, gzip_from=None)

    assert settings.salesforce is not None
    assert [app.consumer_key for app in settings.salesforce.apps] == ["3MVG9-secret", "next"]
    assert settings.salesforce.api_share == 0.3
    assert settings.salesforce.gzip_from is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"password": "hush-hush"}, "no logins by password: Salesforce ends them"),
        ({"security_token": "hush-hush"}, "by February 2027; give private_key_file"),
        ({"client_secret_file": __file__}, "private_key_file .* or client_secret_file"),
        ({"private_key_file": None}, "private_key_file .* or client_secret_file"),
        ({"username": ""}, "JWT bearer needs username"),
        ({"api_share": 30}, "salesforce.api_share"),
        ({"standby": [{"consumer_key": "hush-hush"}]}, "salesforce.standby.0"),
        ({"consumer_secret": "hush-hush"}, "salesforce.consumer_secret"),
        ({"sink": {"hard_delete": ["X"]}}, "salesforce.sink.hard_delete: Unexpected"),
        ({"username": ""}, "egress.json: salesforce: JWT bearer needs username; mend that, or run"),
    ],
)
def test_what_it_cannot_mean_is_named_and_not_shown(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(SetupError, match=text) as caught:
        load(tmp_path, **change)

    assert "hush" not in str(caught.value)
    assert "3MVG9" not in str(caught.value)
    assert caught.value.__cause__ is None
