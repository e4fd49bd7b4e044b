"""What an org has, as far as a contract must fit it. Whoever reads metadata makes these."""

from collections.abc import Mapping
from dataclasses import dataclass

LOOKUPS = frozenset({"Lookup", "MasterDetail"})


@dataclass(frozen=True, slots=True)
class OrgField:
    """A field of an object, by the Metadata API's words.

    Attributes:
        type: ``Text``, ``Number``, ``Picklist``, ...
        length: Characters of a text, else 0.
        precision: Digits of a number, else 0.
        scale: Those of them after the point.
        values: The values of a restricted picklist; None for anything else.
        refers_to: The object that a lookup points to, or None.

    """

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    values: frozenset[str] | None = None
    refers_to: str | None = None
    is_required: bool = False
    is_unique: bool = False
    is_external_id: bool = False
    is_case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class OrgObject:
    """An object and its custom fields, by name."""

    name: str
    fields: Mapping[str, OrgField]


Org = Mapping[str, OrgObject]
