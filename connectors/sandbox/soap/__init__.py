"""The SOAP API: envelopes, the partner API's calls and the Metadata API's."""
