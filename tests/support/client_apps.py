"""What other people's clients need of an org: an app with every flow, and their settings."""

from dataclasses import replace
from pathlib import Path

from metadata_packages import custom_object, manifest, packed, text_field
from org_person import Person
from running_org import RunningOrg

from connectors.embedded.pki import ensure_app, write_apps
from connectors.sandbox.logins.apps import change_app, new_secret

EU = "Region_Sink_EU"
CALLBACK = "http://localhost:3000/callback"


def settings_of(org: RunningOrg, folder: Path) -> dict[str, str]:
    """Register an app that takes part in every flow; return a client's environment.

    It holds a session of the administrator, the app's secret, key and a code of the authorisation
    code flow, and a package with the object ``Made__c`` to deploy. *folder* takes the package.
    """
    app = ensure_app(org.home, "eu")
    write_apps(org.home, [app])
    client_id, secret = new_secret(org.home, EU)
    change_app(org.home, EU, lambda one: replace(one, callback_url=CALLBACK, requires_pkce=False))
    code = Person(org).code(
        app.username, client_id=client_id, redirect_uri=CALLBACK, code_challenge=""
    )
    package = folder / "package.zip"
    package.write_bytes(packed(PACKAGE).getvalue())
    return {
        "ORG_URL": org.url,
        "ORG_TOKEN": org.login().token,
        "APP_KEY": client_id,
        "APP_SECRET": secret,
        "APP_USER": app.username,
        "APP_PRIVATE_KEY": str(app.private_key_file),
        "APP_CODE": code,
        "APP_CALLBACK": CALLBACK,
        "PACKAGE_ZIP": str(package),
        "NODE_EXTRA_CA_CERTS": org.ready["ca_file"],
        "SSL_CERT_FILE": org.ready["ca_file"],
    }


PACKAGE = {
    "package.xml": manifest({"CustomObject": ["Made__c"]}),
    "objects/Made__c.object": custom_object("Made", text_field("Text__c")),
}
