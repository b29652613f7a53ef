"""Delivery to New Relic: at least once, within its limits, by its rules for each answer."""
