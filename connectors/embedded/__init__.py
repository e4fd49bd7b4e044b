"""Starts the embedded stack: one Kafka and one PostgreSQL per region, and a test org.

Everything comes from the package registries through their ordinary clients; nothing needs
Docker, a system Java or a system PostgreSQL. One supervisor per home owns the processes.
"""
