"""What is read of a cluster at one tick, each thing once, whichever kinds want it (`tick`)."""
