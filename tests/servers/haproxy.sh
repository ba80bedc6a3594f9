#!/bin/sh
# HAProxy with a configuration file, in the foreground; installed first where it is missing.
set -eu
if ! command -v haproxy >/dev/null; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    # Other tests may be installing it at this moment.
    (
        flock 9
        command -v haproxy >/dev/null || { $as_root apt-get -qq update && $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq install -y --no-install-recommends haproxy; } >&2
    ) 9>/tmp/integrations-tests-install.lock
fi
exec haproxy -db -f "$1"
