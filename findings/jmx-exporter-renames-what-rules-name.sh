#!/usr/bin/env bash
# The Prometheus JMX exporter gives other names than its rules say, and 0.20.0 and 1.0.1 others than
# each other, seen 2026-11-27.
#
# A rule of type COUNTER that names `started_count` makes `started_count_total` by 1.0.1. A rule of type
# GAUGE that names `threads_total` makes `threads`: the suffix is kept for counters. Two attributes to
# which rules give one name stand side by side by 1.0.1, told apart by a label `_objectname` that no rule
# names; by 0.20.0 one of them is there and the other is gone without a word. So Kafka's usual rules, whose
# counts of histograms are COUNTERs, lose these for whoever looks for `…_count` alone.
#
# Seen:
#   0.20.0  started_count 19.0
#   0.20.0  threads_total 18.0
#   1.0.1   started_count_total 19.0
#   1.0.1   threads{_objectname="java.lang<type=Threading><>PeakThreadCount"} 19.0
#   1.0.1   threads{_objectname="java.lang<type=Threading><>ThreadCount"} 19.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/rules.yml" <<'RULES'
hostPort: 127.0.0.1:18998
rules:
  - {pattern: 'java.lang<type=Threading><>(ThreadCount|PeakThreadCount)', name: threads_total, type: GAUGE}
  - {pattern: 'java.lang<type=Threading><>TotalStartedThreadCount', name: started_count, type: COUNTER}
RULES

page() { # of the exporter itself, by a version
    local jar="jmx_prometheus_httpserver-$1.jar" jmx=-Dcom.sun.management.jmxremote
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
        -Dartifact="io.prometheus.jmx:jmx_prometheus_httpserver:$1" -DoutputDirectory="$folder" >&2
    java $jmx.port=18998 $jmx.rmi.port=18998 $jmx.host=127.0.0.1 $jmx.authenticate=false $jmx.ssl=false \
        -Djava.rmi.server.hostname=127.0.0.1 -jar "$folder/$jar" 127.0.0.1:18999 "$folder/rules.yml" \
        > "$folder/log" 2>&1 &
    local pid=$!
    curl --noproxy '*' --silent --fail --retry 60 --retry-delay 1 --retry-connrefused \
        http://127.0.0.1:18999/metrics -o "$folder/page"
    kill $pid
    wait $pid || true
    grep -E '^(started|threads)' "$folder/page"
}

old=$(page 0.20.0)
new=$(page 1.0.1)
sed 's/^/0.20.0  /' <<< "$old"
sed 's/^/1.0.1   /' <<< "$new"
grep -q '^started_count [0-9]' <<< "$old"
[ "$(grep -c '^threads' <<< "$old")" = 1 ]
grep -q '^threads_total [0-9]' <<< "$old"
grep -q '^started_count_total [0-9]' <<< "$new"
[ "$(grep -c '^threads{_objectname=' <<< "$new")" = 2 ]
