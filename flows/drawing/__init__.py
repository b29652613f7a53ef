"""What pages with plots are drawn with: charts, their themes, and a page that needs no network."""
