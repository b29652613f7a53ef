"""`mqpipe tail`: samples as they pass."""
