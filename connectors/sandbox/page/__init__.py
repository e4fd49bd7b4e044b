"""The org's pages for people: what is in it, what was called, and who may log in through what."""
