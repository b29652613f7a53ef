"""The words that every room speaks: metrics, Arrow schemas, GUIDs, units of settings.

Sinks may import from here and from nowhere else in `operators`.
"""
