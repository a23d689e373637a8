"""Alerts that come in, incidents, and what people are told of them."""
