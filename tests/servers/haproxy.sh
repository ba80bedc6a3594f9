#!/bin/sh
# HAProxy with a configuration file, in the foreground; installed first where it is missing.
set -eu
"$(dirname "$0")/install.sh" 'command -v haproxy' haproxy
exec haproxy -db -f "$1"
