#!/usr/bin/env bash
# botocore 1.44.8 does not read AWS_REGION, seen 2026-11-27.
#
# AWS's SDKs for Java, Go, JavaScript, .NET and Rust take the region from AWS_REGION, which ECS,
# Lambda and EKS set. botocore knows AWS_DEFAULT_REGION alone: with only AWS_REGION there is no region,
# and a client cannot be made (NoRegionError). So mqpipe reads AWS_REGION itself before it asks botocore.
#
# Seen:
#   AWS_REGION=eu-west-1          region: None
#   AWS_DEFAULT_REGION=eu-west-1  region: eu-west-1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check botocore==1.44.8

region() {
    env -u AWS_REGION -u AWS_DEFAULT_REGION -u AWS_PROFILE AWS_CONFIG_FILE=/dev/null "$@" \
        "$folder/venv/bin/python" -c '
from botocore.session import Session
print(Session().get_config_variable("region"))'
}

for name in AWS_REGION AWS_DEFAULT_REGION; do
    echo "$name=eu-west-1  region: $(region $name=eu-west-1)"
done
[ "$(region AWS_REGION=eu-west-1)" = None ]
[ "$(region AWS_DEFAULT_REGION=eu-west-1)" = eu-west-1 ]
