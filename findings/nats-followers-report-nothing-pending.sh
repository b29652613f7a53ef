#!/usr/bin/env bash
# nats-server 2.15.2 reports other figures of one consumer on each server of a cluster, seen 2026-11-28.
#
# /jsz?consumers=true lists, on each of three servers, a consumer of three replicas; 20 messages are in its stream,
# of which nobody has taken any. Only the server that leads the consumer says so: on the others `num_pending` is 0, as if
# it had read all, and is a number all the same, not null. Neither does a follower know the other followers: its
# `cluster.replicas` say `current: false` of one that is up and has all. So a page of one server says nothing of
# consumers that others lead, and what adds up or shows pages of all servers has wrong sums (nats-server
# issues 4539 and 8140). And `limit` and `offset` cut the page between accounts: with `limit=1` all streams are there.
#
# Seen: leader 20 pending, followers 0 and 0; followers call the other one not current; limit=1 gives 2 of 2 streams
# Needs Go 1.26 or later and Python with pip; ports of 127.0.0.1.
set -euo pipefail
folder=$(mktemp -d)
servers=()
cleanup() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    wait || true
    rm -rf "$folder"
}
trap cleanup EXIT
GOBIN="$folder" go install github.com/nats-io/nats-server/v2@v2.15.2
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q nats-py==2.16.0
ports=($(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(9)]
print(*(s.getsockname()[1] for s in held))'))
for n in 0 1 2; do
    cat > "$folder/$n.conf" <<CONF
server_name: s$n
listen: 127.0.0.1:${ports[n]}
http: 127.0.0.1:${ports[n + 3]}
jetstream { store_dir: "$folder/data$n", max_mem: 16MB, max_file: 64MB }
cluster {
  name: c, listen: 127.0.0.1:${ports[n + 6]}
  routes: ["nats://127.0.0.1:${ports[6]}", "nats://127.0.0.1:${ports[7]}", "nats://127.0.0.1:${ports[8]}"]
}
CONF
    "$folder/nats-server" -c "$folder/$n.conf" > "$folder/$n.log" 2>&1 &
    servers+=($!)
done

"$folder/venv/bin/python" - "${ports[@]:0:6}" <<'PYTHON' || { tail -20 "$folder"/*.log; exit 1; }
import asyncio
import json
import sys
import urllib.request

import nats
from nats.js.api import ConsumerConfig

clients, monitors = sys.argv[1:4], sys.argv[4:7]


def page(port, query):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/jsz?{query}", timeout=10) as answer:
        return json.load(answer)


def consumer(port):
    (account,) = page(port, "accounts=true&streams=true&consumers=true")["account_details"]
    for stream in account["stream_detail"]:
        for found in stream.get("consumer_detail") or ():
            return found
    return None


async def main():
    for _ in range(100):
        try:
            client = await nats.connect([f"nats://127.0.0.1:{port}" for port in clients])
            js = client.jetstream(timeout=10)
            await js.add_stream(name="ORDERS", subjects=["orders"], num_replicas=3)
            break
        except Exception:
            await asyncio.sleep(0.3)
    await js.add_stream(name="OTHER", subjects=["other"], num_replicas=3)
    for _ in range(20):
        await js.publish("orders", b"x")
    await js.add_consumer("ORDERS", ConsumerConfig(durable_name="billing"))
    for _ in range(100):
        found = [consumer(port) for port in monitors]
        if all(found) and all(f["cluster"].get("leader") for f in found):
            leader = found[0]["cluster"]["leader"]
            peers = found[int(leader[1])]["cluster"]["replicas"]
            if all(peer["current"] for peer in peers) and (await js.consumer_info("ORDERS", "billing")).num_pending == 20:
                break
        await asyncio.sleep(0.3)
    pending = {f"s{n}": f["num_pending"] for n, f in enumerate(found)}
    print("led by", leader, "- pending:", pending)
    assert pending.pop(leader) == 20
    assert list(pending.values()) == [0, 0]
    for n, f in enumerate(found):
        if f"s{n}" != leader:
            other = {p["name"]: p["current"] for p in f["cluster"]["replicas"]}
            print(f"s{n} says who is current:", other)
            assert not all(other.values())
    (account,) = page(monitors[0], "streams=true&accounts=true&limit=1")["account_details"]
    print("streams with limit=1:", len(account["stream_detail"]))
    assert len(account["stream_detail"]) == 2
    await client.close()


asyncio.run(main())
PYTHON
echo "as it was seen"
