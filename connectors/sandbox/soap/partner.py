"""The SOAP API: ``login()``, which answers what orgs of today answer.

Source: Salesforce help 005132110, "SOAP API login() retirement"; the text is what new orgs answer.
"""

from aiohttp import web

_CODE = "INVALID_OPERATION"
_TEXT = (
    "SOAP API login() is disabled by default in this org."
    " Contact the org administrator to enable SOAP API login()."
)
_FAULT = f"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"\
 xmlns:sf="urn:fault.partner.soap.sforce.com"\
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault>\
<faultcode>sf:{_CODE}</faultcode><faultstring>{_CODE}: {_TEXT}</faultstring><detail>\
<sf:LoginFault xsi:type="sf:LoginFault"><sf:exceptionCode>{_CODE}</sf:exceptionCode>\
<sf:exceptionMessage>{_TEXT}</sf:exceptionMessage></sf:LoginFault></detail>\
</soapenv:Fault></soapenv:Body></soapenv:Envelope>"""


async def post_login(request: web.Request) -> web.Response:
    """Refuse a login by username and password, whoever it is for."""
    del request
    return web.Response(status=500, text=_FAULT, content_type="text/xml", charset="UTF-8")
