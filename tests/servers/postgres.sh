#!/bin/sh
# A PostgreSQL cluster of the tests' own: `postgres.sh DIRECTORY PORT [SETTING…]`. Says `ready` when it takes connections on
# 127.0.0.1, then does what lines of its input say (`database NAME`, `stop`, `start`), answering each with `done`. Ends,
# and takes the cluster with it, when its input ends: so it never outlives the test that started it.
set -eu
directory=$1
port=$2
shift 2

bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1; }

"$(dirname "$0")/install.sh" 'ls -d /usr/lib/postgresql/*/bin' postgresql
bin=$(bin)

# PostgreSQL refuses to run as root.
own() { :; }
as_owner() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    own() { chown -R postgres "$directory"; }
    as_owner() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
fi

start() {
    as_owner "$bin/pg_ctl" -D "$directory/data" -w -s -l "$directory/log" -o "-p $port -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories=$directory -c max_connections=400 $options" start >&2
}
stop() { as_owner "$bin/pg_ctl" -D "$directory/data" -s -m immediate stop >&2; }
options=""
for setting; do options="$options -c $setting"; done
if [ -f "$directory/server.key" ]; then
    options="$options -c ssl=on -c ssl_cert_file=$directory/server.crt -c ssl_key_file=$directory/server.key"
    chmod 600 "$directory/server.key"
fi

own
as_owner "$bin/initdb" -D "$directory/data" -U integrations --auth=trust --no-sync --locale=C.UTF-8 -E UTF8 >/dev/null
start
trap 'stop; rm -rf "$directory"' EXIT
echo ready
while read -r command name; do
    case $command in
        database)
            as_owner "$bin/psql" -qX -h 127.0.0.1 -p "$port" -U integrations -d postgres -c "CREATE DATABASE $name" >&2
            ;;
        start) start ;;
        stop) stop ;;
    esac
    echo done
done
