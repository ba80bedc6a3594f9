#!/bin/sh
# Installs Debian packages unless what they bring is there: `install.sh TEST PACKAGE…`, where TEST is a command that
# succeeds if it is. Many may ask at once; one is at it at a time.
set -eu
is_there=$1
shift
sh -c "$is_there" >/dev/null 2>&1 && exit
exec 9>/tmp/integrations-tests-install.lock
flock 9
sh -c "$is_there" >/dev/null 2>&1 && exit
as_root=$([ "$(id -u)" = 0 ] || echo sudo)
{
    $as_root apt-get -qq update
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@"
} >&2
