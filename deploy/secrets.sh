#!/bin/sh
# Makes the secrets that docker-compose.yml names, in ./secrets or the directory given: the password of PostgreSQL, the key
# that signs tokens, and the first master key. What is there already is kept, so that it can be run again.
set -eu
directory=${1:-"$(dirname "$0")/../secrets"}

# Containers read these files under users of their own: only the directory keeps the rest of this machine out.
umask 077
mkdir -p "$directory/keys"
chmod 0700 "$directory"
chmod 0755 "$directory/keys"

random() { head -c 32 /dev/urandom | base64; }
keep() {
    [ -e "$directory/$1" ] && return
    printf '%s\n' "$2" > "$directory/$1.draft"
    chmod 0444 "$directory/$1.draft"
    mv "$directory/$1.draft" "$directory/$1"
}
keep postgres-password "$(random | tr -d '/+=\n')"
keep jwt-key "$(random)"
keep keys/master.key "$(date +%Y-%m-%d) $(random)"
