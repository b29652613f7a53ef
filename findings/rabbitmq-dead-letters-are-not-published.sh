#!/usr/bin/env bash
# RabbitMQ 3.10.8 counts nothing published to a queue that gets dead letters, seen 2026-11-28.
#
# Five messages are rejected in one queue and arrive in another, that of its dead-letter exchange. Its depth is 5, and it
# has no `message_stats` at all, so "what came is what was published" does not hold: a queue of dead letters
# fills up at a rate of nothing. Neither queue counts them; rabbitmq_global_messages_dead_lettered_rejected_total
# of the node does, on /metrics alone: not one family of /metrics/detailed has it.
#
# Seen: 5 messages, published null; of the first queue 5; dead-lettered by the node 5
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
import re
import sys
import time
import urllib.request

api, page = (f"http://127.0.0.1:{port}" for port in sys.argv[1:])
login = base64.b64encode(b"guest:guest").decode()
headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
deadline = time.monotonic() + 150


def ask(path, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(f"{api}/api/{path}", data, headers, method=method)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def until(what):
    while True:
        try:
            found = what()
            if found:
                return found
        except OSError:
            pass
        assert time.monotonic() < deadline, "the server did not answer"
        time.sleep(0.5)


def counted():
    with urllib.request.urlopen(f"{page}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    lines = re.findall(r"^rabbitmq_global_messages_dead_lettered_rejected_total\{.*at_most_once.*\} (\d+)", text, re.M)
    return sum(map(int, lines))


until(lambda: ask("queues/%2F/dead", {"durable": True}, "PUT") or ask("queues/%2F/dead"))
to = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
ask("queues/%2F/orders", {"durable": True, "arguments": to}, "PUT")
message = {"properties": {}, "routing_key": "orders", "payload": "x", "payload_encoding": "string"}
for _ in range(5):
    ask("exchanges/%2F/amq.default/publish", message, "POST")
ask("queues/%2F/orders/get", {"count": 5, "ackmode": "reject_requeue_false", "encoding": "auto"}, "POST")
until(lambda: ask("queues/%2F/dead").get("messages") == 5)
source = until(lambda: ask("queues/%2F/orders").get("message_stats"))
time.sleep(6)  # statistics are renewed every 5 s
dead = ask("queues/%2F/dead")
published = json.dumps((dead.get("message_stats") or {}).get("publish"))
print(f"{dead['messages']} messages, published {published}; of the first queue {source['publish']}; "
      f"dead-lettered by the node {counted()}")
raise SystemExit(0 if (published, source["publish"], counted()) == ("null", 5, 5) else 1)
PYTHON
