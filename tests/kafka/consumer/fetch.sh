#!/usr/bin/env bash
# Makes a virtual environment with what the consumer needs, once: fetch.sh DIRECTORY. What is missing for that on a
# Debian machine is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
mkdir -p "$(dirname "$to")"
exec 9>"$to.lock"
flock 9
cmp -s "$here/requirements.txt" "$to/complete" && exit 0

"$here/../../servers/install.sh" 'python3 -c "import ensurepip, venv"' python3-venv
rm -rf "$to"
python3 -m venv "$to"
"$to/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cp "$here/requirements.txt" "$to/complete"
