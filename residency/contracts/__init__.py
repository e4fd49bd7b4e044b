"""Contracts: what the CRM needs, from which events, and from which path each field comes."""
