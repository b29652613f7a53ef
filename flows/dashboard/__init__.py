"""`mqpipe dashboard`: dashboards for New Relic and Grafana, and alert conditions, from the metric table.

`nrql` writes queries and refuses what the table does not have, `pages` says what is shown,
`alerts` what is alerted on, `grafana` is the board of the metrics page, `command` puts it out as JSON.
"""
