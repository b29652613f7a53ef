"""What earlier builds left on disk when they were killed: today's goes on from it."""
