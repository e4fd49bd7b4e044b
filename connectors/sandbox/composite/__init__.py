"""Requests that hold other requests."""
