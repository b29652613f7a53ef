"""What is measured but is no column, as Arrow: made by the collection, used by the derivation."""
