"""Everything the org is to have, as metadata components, from what the regions may send."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from connectors.sfdx.access import (
    ERASURE,
    RECONCILE,
    SINK,
    erasure_node,
    reconcile_node,
    sink_node,
)
from connectors.sfdx.classes import categories_of, load_classes
from connectors.sfdx.fields import field_node, label_of
from connectors.sfdx.xmlfile import Node
from residency.contracts.needs import VERSIONS, FieldNeed, ObjectNeed, merged_needs, region_needs
from residency.contracts.read import load_contract
from residency.regions import load_regions
from schemas.registry import load_registry

CONTACT = "integration@homeport.example"
SESSION_MINUTES = 120  # of silence, until a session ends; Salesforce's default


@dataclass(frozen=True, slots=True)
class Component:
    """One piece of metadata.

    Attributes:
        kind: The Metadata API's type, which is the root element of its file.
        name: Its full name; of a field or a rule without its object.
        node: Its elements.
        owner: The object of a field or a rule, else empty.
        region: The region whose app it is a part of, else empty.

    """

    kind: str
    name: str
    node: Mapping[str, Node]
    owner: str = ""
    region: str = ""

    def __str__(self) -> str:
        """Return type and full name: ``CustomField Commerce_Order__c.Status__c``."""
        return f"{self.kind} {self.owner}{'.' if self.owner else ''}{self.name}"


@dataclass(frozen=True, slots=True)
class Choices:
    """What an org decides of the External Client Apps, and no contract says.

    Attributes:
        contact_email: Whom Salesforce writes to about the apps.
        permission_set: What the apps' policies name as the set that lets a user in: its API
            name, or its Id (the documentation says Id, and samples have names).
        certificates: PEM by region; an app without one does not offer JWT bearer.

    """

    contact_email: str = CONTACT
    permission_set: str = SINK
    certificates: Mapping[str, str] = field(default_factory=dict)


@cache
def org_needs() -> Mapping[str, ObjectNeed]:
    """Return what the one org must take of all regions.

    Raises:
        SetupError: A grammar, a schema or a contract is not one we can carry out.

    """
    contract, registry = load_contract(), load_registry()
    return merged_needs(region_needs(region, contract, registry) for region in load_regions())


def components(choices: Choices = Choices()) -> tuple[Component, ...]:
    """Return all components, in an order that never changes.

    Raises:
        SetupError: As `org_needs`; or a category has no class.

    """
    needs = [org_needs()[name] for name in sorted(org_needs())]
    found = [part for need in needs for part in _object(need)]
    found += [
        Component("PermissionSet", SINK, sink_node(needs)),
        Component("PermissionSet", ERASURE, erasure_node(needs)),
        Component("PermissionSet", RECONCILE, reconcile_node(needs)),
    ]
    for region in load_regions():
        found += [replace(part, region=region) for part in _app(region, choices)]
    return tuple(found)


def deployable(choices: Choices) -> tuple[Component, ...]:
    """Return the components less the apps without a certificate.

    Such an app would take no logins; over one that is there, it might take its certificate away.

    Raises:
        SetupError: As `components`.

    """
    parts = components(choices)
    return tuple(p for p in parts if not p.region or p.region in choices.certificates)


def _object(need: ObjectNeed) -> Iterator[Component]:
    label = label_of(need.name)
    yield Component(
        "CustomObject",
        need.name,
        {
            "label": label,
            "pluralLabel": f"{label}s",
            "description": "Minimal rows from the regions: tokens and coarse values, no contact "
            "data. Written by Homeport alone.",
            # Numbered by the org: a name that we could write could name a person.
            "nameField": {
                "label": "Number",
                "type": "AutoNumber",
                "displayFormat": f"{label.rpartition(' ')[2].upper()}-{{00000000}}",
            },
            "deploymentStatus": "Deployed",
            "sharingModel": "Private",
            "externalSharingModel": "Private",
            "enableBulkApi": True,  # goes with the next two or not at all
            "enableSharing": True,
            "enableStreamingApi": True,
            "enableReports": True,
            "enableHistory": False,
            "enableSearch": True,
        },
    )
    made_of = categories_of(load_contract(), load_registry())
    for name in sorted(need.fields):
        held = load_classes().of(sorted(made_of.get((need.name, name), ())))
        node = field_node(need, need.fields[name], held)
        yield Component("CustomField", name, node, owner=need.name)
    for name in VERSIONS:
        yield _rule(need, need.fields[name])


def _rule(owner: ObjectNeed, need: FieldNeed) -> Component:
    """Return the rule that refuses a lower version; an equal one passes: it is sent again."""
    name = need.name
    kind = name.removesuffix("_Version__c").lower()
    prior = f"PRIORVALUE({name})"
    formula = f"AND(NOT(ISNEW()), NOT(ISBLANK({prior})), {name} < {prior})"
    node: Mapping[str, Node] = {
        "fullName": f"Older_{name.removesuffix('__c')}",
        "active": True,
        "description": f"Refuses a lower {name} than the row has: a request that comes late "
        "cannot win.",
        "errorConditionFormula": formula,
        "errorMessage": f"homeport:older-{kind}-version",  # connectors/salesforce reads it
    }
    return Component("ValidationRule", str(node["fullName"]), node, owner=owner.name)


def _app(region: str, choices: Choices) -> Iterable[Component]:
    app = f"Region_Sink_{region.upper()}"
    belongs: Mapping[str, Node] = {"externalClientApplication": app}
    pem = choices.certificates.get(region)
    certificate: Mapping[str, Node] = {"certificate": pem} if pem else {}
    yield Component(
        "ExternalClientApplication",
        app,
        {
            "contactEmail": choices.contact_email,
            "description": f"Homeport egress, region {region}. One app per region, so that one "
            "can be blocked alone.",
            "distributionState": "Local",
            "isProtected": False,
            "label": label_of(app),
        },
    )
    scopes = {"commaSeparatedOauthScopes": "Api, RefreshToken", "label": f"{app}_oauth"}
    yield Component("ExtlClntAppOauthSettings", f"{app}_oauth", {**belongs, **scopes})
    yield Component(
        "ExtlClntAppGlobalOauthSettings",
        f"{app}_glbl",
        {
            **belongs,
            **certificate,
            "callbackUrl": "https://localhost/unused",
            "isClientCredentialsFlowEnabled": False,
            "isConsumerSecretOptional": False,
            "isIntrospectAllTokens": False,
            "isPkceRequired": True,
            "isSecretRequiredForRefreshToken": True,
            "label": f"{app}_glbl",
            "shouldRotateConsumerKey": False,
            "shouldRotateConsumerSecret": False,
        },
    )
    yield Component(
        "ExtlClntAppOauthConfigurablePolicies",
        f"{app}_plcy",
        {
            **belongs,
            "commaSeparatedPermissionSet": choices.permission_set,
            "ipRelaxationPolicyType": "Enforce",
            "label": f"{app}_plcy",
            "permittedUsersPolicyType": "AdminApprovedPreAuthorized",
            "refreshTokenPolicyType": "Zero",
            "sessionTimeoutInMinutes": SESSION_MINUTES,
        },
    )
