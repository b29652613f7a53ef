"""A stand-in for an OTLP receiver, and what is in its requests."""
