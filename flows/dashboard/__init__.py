"""`mqpipe dashboard`: a New Relic dashboard, and alert conditions, from the metric table.

`nrql` writes queries and refuses what the table does not have, `pages` says what is shown,
`alerts` what is alerted on, `command` puts it out as JSON.
"""
