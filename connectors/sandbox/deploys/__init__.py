"""The Metadata API: packages deployed into the running org, and retrieved from it."""
