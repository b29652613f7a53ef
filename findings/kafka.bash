# Sourced by findings that need a broker: Kafka 4.3.1 from its published jars, on a loopback port.
#
# `start_kafka` sets `bootstrap`; `"${kafka[@]}" CLASS ARGUMENT...` runs one of Kafka's own programs.
# Needs Java 17, Maven, Python 3.
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$folder"' EXIT

# jars GROUP:ARTIFACT:VERSION...: brings them, and what they need, into $folder/jars.
jars() {
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        echo '<groupId>f</groupId><artifactId>f</artifactId><version>1</version><packaging>pom</packaging>'
        echo '<dependencies>'
        for jar; do
            IFS=: read -r group artifact version <<<"$jar"
            echo "<dependency><groupId>$group</groupId><artifactId>$artifact</artifactId>"
            echo "<version>$version</version></dependency>"
        done
        echo '</dependencies></project>'
    } >"$folder/pom.xml"
    mvn -B -q -f "$folder/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$folder/jars" -DincludeScope=runtime >&2
}

kafka=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
    -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$folder/jars/*")

# until_ COMMAND...: again and again until it succeeds, for five minutes at most.
until_() {
    until "$@"; do
        [ $SECONDS -lt 300 ] || { echo "in vain: $*" >&2; exit 1; }
    done
}

start_kafka() {
    jars org.apache.kafka:kafka_2.13:4.3.1 org.apache.kafka:kafka-tools:4.3.1 \
        org.slf4j:slf4j-simple:1.7.36 "$@"
    read -r port controller < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))')
    bootstrap=127.0.0.1:$port
    cat >"$folder/server.properties" <<EOF
process.roles=broker,controller
node.id=1
log.dirs=$folder/log
listeners=PLAINTEXT://$bootstrap,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$controller
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
EOF
    "${kafka[@]}" kafka.tools.StorageTool format --cluster-id AAAAAAAAAAAAAAAAAAAAAA \
        --config "$folder/server.properties" >"$folder/format.log"
    "${kafka[@]}" kafka.Kafka "$folder/server.properties" >"$folder/broker.log" 2>&1 &
    until_ topics --list >/dev/null 2>&1
}

topics() { "${kafka[@]}" org.apache.kafka.tools.TopicCommand --bootstrap-server "$bootstrap" "$@"; }

# messages TOPIC COUNT: so many, to a topic of one partition that is made where it is not there.
messages() {
    topics --create --if-not-exists --topic "$1" --partitions 1 >/dev/null 2>&1
    seq "$2" | "${kafka[@]}" org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$bootstrap" \
        --topic "$1" >/dev/null
}

# python_with PACKAGE==VERSION...: installs them; then `$python` is an interpreter that has them.
python_with() {
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
    python=$folder/venv/bin/python
}
