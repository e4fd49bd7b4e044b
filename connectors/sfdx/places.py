"""Where the components of each type lie in SFDX source and in a package of the Metadata API."""

from collections.abc import Mapping

# Type -> (folder, suffix), as both formats have them.
PLACES: Mapping[str, tuple[str, str]] = {
    "CustomObject": ("objects", "object"),
    "PermissionSet": ("permissionsets", "permissionset"),
    "ExternalClientApplication": ("externalClientApps", "eca"),
    "ExtlClntAppOauthSettings": ("extlClntAppOauthSettings", "ecaOauth"),
    "ExtlClntAppGlobalOauthSettings": ("extlClntAppGlobalOauthSets", "ecaGlblOauth"),
    "ExtlClntAppOauthConfigurablePolicies": ("extlClntAppOauthPolicies", "ecaOauthPlcy"),
}
# Parts of an object: their own files in source, elements of its file in a package.
PARTS: Mapping[str, tuple[str, str]] = {
    "CustomField": ("fields", "field"),
    "ValidationRule": ("validationRules", "validationRule"),
}


def source_path(kind: str, name: str, owner: str = "") -> str:
    """Return a component's file in source, below ``force-app/main/default``.

    Args:
        kind: The Metadata API's type.
        name: Its full name; of a field or a rule without its object.
        owner: The object of a field or a rule.

    Raises:
        KeyError: No place is known for the type.

    """
    if kind in PARTS:
        folder, suffix = PARTS[kind]
        return f"objects/{owner}/{folder}/{name}.{suffix}-meta.xml"
    folder, suffix = PLACES[kind]
    inner = f"{name}/" if kind == "CustomObject" else ""
    return f"{folder}/{inner}{name}.{suffix}-meta.xml"
