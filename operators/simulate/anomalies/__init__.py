"""Anomalies: their kinds, when they happen, what they pull at, and which samples they shape."""
