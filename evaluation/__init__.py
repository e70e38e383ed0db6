"""Protocols, re-enactments, metrics, tables, figures and the report."""
