#!/usr/bin/env bash
# kafka-python 3.0.12 sends the names of SCRAM users as they are, seen 2026-11-27.
#
# RFC 5802 (5.1) has `=` and `,` in a name sent as `=3D` and `=2C`, since they separate the message's
# fields; Kafka's own client does so, and its brokers refuse the message otherwise. A user whose name
# has one of them (`svc=billing`, or a distinguished name) cannot log in by kafka-python. mqpipe has a
# SCRAM of its own, and takes only kafka-python's messages.
#
# Seen: n,,n=svc=billing,ou=eu,r=...        (RFC 5802: n,,n=svc=3Dbilling=2Cou=3Deu,r=...)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kafka-python==3.0.12

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
from kafka.net.sasl.scram import SaslMechanismScram

mechanism = SaslMechanismScram(
    sasl_mechanism="SCRAM-SHA-512",
    sasl_plain_username="svc=billing,ou=eu",
    sasl_plain_password="pencil",
    security_protocol="SASL_SSL",
)
first = bytes(mechanism.auth_bytes()).decode()
print(first)
raise SystemExit(0 if first.startswith("n,,n=svc=billing,ou=eu,r=") else 1)
PYTHON
