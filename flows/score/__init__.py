"""`mqpipe score`: how well a detector found the anomalies that the simulation made.

`command` is the command. What is computed of one entity's series lies in a module a family:
`ranges` (range-based precision and recall), `affiliation`, and `volume`
(VUS). docs/score.md has each figure's definition and source.
"""
