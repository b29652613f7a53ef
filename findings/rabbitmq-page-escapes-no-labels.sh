#!/usr/bin/env bash
# RabbitMQ 3.10.8's Prometheus plugin escapes neither `"` nor `\` in labels, seen 2026-11-28.
#
# Prometheus' text format has `\`, `"` and a line's end escaped in a label's value, and RabbitMQ lets a queue
# be called anything. So one queue called `say "hi"` makes a page of /metrics/per-object or /metrics/detailed
# that Prometheus refuses as a whole: all queues of the node are lost with it. mqpipe splits labels by what
# stands between them, and tells both forms apart by the queues' names from the API.
#
# Seen: rabbitmq_detailed_queue_messages{vhost="/",queue="say "hi" to c:\temp"} 0
# Needs apt of Debian 12 or its like, and no root: packages are unpacked into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
node="finding$$@localhost"
erlang=1:25.2.3+dfsg-1+deb12u4
cleanup() {
    if [ -n "${server:-}" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
    if [ -n "${epmd:-}" ]; then kill "$epmd" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap cleanup EXIT
mkdir "$folder/debs" "$folder/root" "$folder/home"
(
    cd "$folder/debs"
    packages=(rabbitmq-server=3.10.8-1.1+deb12u1)
    for part in base asn1 crypto eldap ftp inets mnesia os-mon parsetools public-key runtime-tools snmp \
        ssl syntax-tools tftp tools xmerl; do
        packages+=("erlang-$part=$erlang")
    done
    apt-get download -qq "${packages[@]}" 2>/dev/null
    for package in *.deb; do dpkg-deb --extract "$package" "$folder/root"; done
)
ports=($(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
print(*(s.getsockname()[1] for s in held))'))
cat > "$folder/home/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:${ports[0]}
management.tcp.ip = 127.0.0.1
management.tcp.port = ${ports[1]}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = ${ports[2]}
disk_free_limit.absolute = 1MB
log.console = true
log.file = false
CONF
echo '[rabbitmq_management,rabbitmq_prometheus].' > "$folder/home/plugins"
export HOME="$folder/home" ERL_ROOTDIR="$folder/root/usr/lib/erlang" LANG=C.UTF-8
export PATH="$folder/root/usr/lib/erlang/bin:$PATH"
export ERL_EPMD_PORT=${ports[3]} ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_NODENAME=$node RABBITMQ_DIST_PORT=${ports[4]} RABBITMQ_BASE="$folder/home"
export RABBITMQ_MNESIA_BASE="$folder/home/data" RABBITMQ_LOG_BASE="$folder/home"
export RABBITMQ_CONF_ENV_FILE="$folder/home/none" RABBITMQ_CONFIG_FILE="$folder/home/rabbitmq.conf"
export RABBITMQ_ENABLED_PLUGINS_FILE="$folder/home/plugins" RABBITMQ_ALLOW_INPUT=1
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
"$ERL_ROOTDIR"/erts-*/bin/epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
epmd=$!
"$folder"/root/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server -noinput > "$folder/log" 2>&1 &
server=$!

python3 - "${ports[1]}" "${ports[2]}" <<'PYTHON' || { tail -20 "$folder/log"; exit 1; }
import base64
import json
import sys
import time
import urllib.parse
import urllib.request

api, page = (f"http://127.0.0.1:{port}" for port in sys.argv[1:])
login = base64.b64encode(b"guest:guest").decode()
name = 'say "hi" to c:\\temp'
made = urllib.request.Request(
    f"{api}/api/queues/%2F/{urllib.parse.quote(name)}",
    json.dumps({"durable": True}).encode(),
    {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
    method="PUT",
)
metric = 'rabbitmq_detailed_queue_messages{vhost="/",queue="'
deadline = time.monotonic() + 120
lines = []
while not lines:
    try:
        urllib.request.urlopen(made, timeout=10).read()
        where = f"{page}/metrics/detailed?family=queue_coarse_metrics"
        text = urllib.request.urlopen(where, timeout=10).read().decode()
        lines = [line for line in text.splitlines() if line.startswith(metric)]
    except OSError:
        pass
    if not lines:
        assert time.monotonic() < deadline, "the server did not answer"
        time.sleep(0.5)
print(lines[0])
raise SystemExit(0 if lines[0].startswith(f'{metric}{name}"}}') else 1)
PYTHON
