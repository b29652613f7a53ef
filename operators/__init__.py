"""What happens to samples: ticks, collection, derivation, simulation, merge."""
