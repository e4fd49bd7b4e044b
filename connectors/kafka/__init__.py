"""Kafka: how our services connect, and the few things several of them do."""
