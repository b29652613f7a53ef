#!/usr/bin/env bash
# A live group of another kind is described as Dead, without an error; seen 2026-11-27 with Kafka 4.3.1,
# confluent-kafka 2.16.0 (librdkafka) and kafka-python 3.0.12.
#
# DescribeGroups knows classic groups alone. Asked for a consumer group (KIP-848) or a share group
# (KIP-932) with a member, a broker answers error 0 and state Dead up to version 5; version 6 has an
# error (69, GROUP_ID_NOT_FOUND) beside it. librdkafka's admin client asks like that for a share group:
# describing it succeeds as DEAD, CLASSIC, no members; its listing has no share groups at all. So a
# type has to be known from ListGroups v5 before a group is described.
#
# Seen:
#   kafka-groups: consumer Consumer, sharing Share
#   librdkafka: sharing DEAD CLASSIC 0 members, listed: consumer
#   DescribeGroups v5: consumer error 0 Dead
#   DescribeGroups v6: consumer error 69 Dead
set -euo pipefail
source "$(dirname "$0")/kafka.bash"
python_with confluent-kafka==2.16.0 kafka-python==3.0.12
start_kafka
messages t 3
console=org.apache.kafka.tools.consumer
"${kafka[@]}" $console.ConsoleShareConsumer --bootstrap-server "$bootstrap" --topic t --group sharing \
    >"$folder/sharing.log" 2>&1 &
"${kafka[@]}" $console.ConsoleConsumer --bootstrap-server "$bootstrap" --topic t --group consumer \
    --consumer-property group.protocol=consumer >"$folder/consumer.log" 2>&1 &
listed() {
    "${kafka[@]}" org.apache.kafka.tools.GroupsCommand --bootstrap-server "$bootstrap" --list 2>/dev/null |
        awk 'NR > 1 && NF {print $1, $2}' | sort | paste -sd,
}
both() { [ "$(listed)" = "consumer Consumer,sharing Share" ]; }
until_ both
echo "kafka-groups: $(listed | sed 's/,/, /')"
"$python" - "$bootstrap" <<'EOF' | tee "$folder/seen"
import socket
import struct
import sys

from confluent_kafka.admin import AdminClient
from kafka.protocol.admin.groups import DescribeGroupsRequest, DescribeGroupsResponse

admin = AdminClient({"bootstrap.servers": sys.argv[1]})
found = admin.describe_consumer_groups(["sharing"])["sharing"].result(30)
valid = [group.group_id for group in admin.list_consumer_groups().result(30).valid]
print(
    "librdkafka: sharing", found.state.name, found.type.name, len(found.members), "members,",
    "listed:", *valid,
)
host, _, port = sys.argv[1].partition(":")
for version in (5, 6):
    with socket.create_connection((host, int(port))) as broker, broker.makefile("rb") as answers:
        asked = DescribeGroupsRequest(
            version=version, groups=["consumer"], include_authorized_operations=False
        )
        asked.with_header()
        broker.sendall(asked.encode(header=True, framed=True))
        (size,) = struct.unpack(">i", answers.read(4))
        answer = DescribeGroupsResponse.decode(answers.read(size), version=version, header=True)
    (group,) = answer.groups
    print(f"DescribeGroups v{version}:", group.group_id, "error", group.error_code, group.group_state)
EOF
diff "$folder/seen" - <<'EOF'
librdkafka: sharing DEAD CLASSIC 0 members, listed: consumer
DescribeGroups v5: consumer error 0 Dead
DescribeGroups v6: consumer error 69 Dead
EOF
