#!/usr/bin/env bash
# kafka-consumer-groups of Kafka 4.3.1 counts records that were deleted as lag, seen 2026-11-27.
#
# A group has committed offset 20 of 100; then all before offset 50 is deleted (DeleteRecords, or
# retention). 50 records exist that the group has not read, and its consumers will start at 50. The
# tool's LAG is still end − commit.
#
# Seen:
#   earliest 50, latest 100
#   CURRENT-OFFSET 20, LOG-END-OFFSET 100, LAG 80
set -euo pipefail
source "$(dirname "$0")/kafka.bash"
start_kafka
messages t 100
groups=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
"${kafka[@]}" $groups --bootstrap-server "$bootstrap" --group g --topic t --reset-offsets --to-offset 20 \
    --execute >/dev/null
echo '{"partitions": [{"topic": "t", "partition": 0, "offset": 50}], "version": 1}' >"$folder/delete"
"${kafka[@]}" org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$bootstrap" \
    --offset-json-file "$folder/delete" >/dev/null
offset() {
    "${kafka[@]}" org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$bootstrap" --topic t --time "$1" |
        cut -d: -f3
}
echo "earliest $(offset earliest), latest $(offset latest)"
"${kafka[@]}" $groups --bootstrap-server "$bootstrap" --describe --group g 2>/dev/null |
    awk '$1 == "g" {print "CURRENT-OFFSET " $4 ", LOG-END-OFFSET " $5 ", LAG " $6}' | tee "$folder/seen"
[ "$(offset earliest)" = 50 ]
grep -qx 'CURRENT-OFFSET 20, LOG-END-OFFSET 100, LAG 80' "$folder/seen"
