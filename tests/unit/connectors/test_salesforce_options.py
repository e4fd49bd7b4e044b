"""What a region may decide about writing is read strictly from its service file."""

from typing import Any

import pytest
from fake_org import fake_config
from pydantic import TypeAdapter, ValidationError

from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.options import SinkOptions

LOAD = TypeAdapter(SalesforceConfig).validate_python


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    config = fake_config(tmp_path_factory.mktemp("app"))
    names = ("instance_url", "consumer_key", "username", "private_key_file")
    return {name: getattr(config, name) for name in names}


def test_a_service_file_can_say_how_rows_are_written(values: dict[str, Any]) -> None:
    sink = {"fate_s": 90, "bulk_from": 500, "retry": {"sizes": [10, 1]}}
    sink["bulk"] = {"max_rows": 9}

    config = LOAD({**values, "sink": sink})

    assert config.sink.fate_s == 90
    assert config.sink.bulk_from == 500
    assert config.sink.retry.sizes == (10, 1)
    assert config.sink.bulk.max_rows == 9
    assert LOAD(values).sink == SinkOptions()


@pytest.mark.parametrize(
    ("sink", "named"),
    [
        ({"bulk_form": 1}, "sink.bulk_form"),
        ({"bulk_from": 0}, "sink.bulk_from"),
        ({"fate_s": -1}, "sink.fate_s"),
        ({"max_bytes": "many"}, "sink.max_bytes"),
        ({"retry": {"sizes": [0]}}, "sink.retry.sizes"),
        ({"retry": {"sizes": []}}, "sink.retry.sizes"),
        ({"retry": {"sizes": [201]}}, "sink.retry.sizes"),
        ({"bulk": {"max_bytes": 100_000_001}}, "sink.bulk.max_bytes"),
        ({"bulk": {"max_row": 1}}, "sink.bulk.max_row"),
    ],
)
def test_what_it_cannot_mean_is_named(
    values: dict[str, Any], sink: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        LOAD({**values, "sink": sink})

    places = [".".join(map(str, error["loc"])) for error in caught.value.errors()]
    assert places
    assert all(place.startswith(named) for place in places)
