"""The apps that the org knows, and their logins."""
