"""Coarsen London's outward codes: SW1A holds a few streets, SW1 a part of the city."""

import re

from streams.processor import Fields, processor

# Only in the centre of London does an outward code end in a letter. Source: Royal Mail, PAF.
_DISTRICT = re.compile(r"([A-Z]{1,2}[0-9])[A-Z]")


@processor(
    object="Commerce_Order__c", reads=("Ship_Postcode_Area__c",), writes=("Ship_Postcode_Area__c",)
)
def coarsen_london(fields: Fields) -> Fields:
    """Cut the last letter of an outward code that ends in one: ``SW1A`` -> ``SW1``."""
    area = fields["Ship_Postcode_Area__c"]
    found = _DISTRICT.fullmatch(area) if isinstance(area, str) else None
    return {"Ship_Postcode_Area__c": found[1]} if found else {}
