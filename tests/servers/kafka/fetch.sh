#!/usr/bin/env bash
# Puts the jars of an Apache Kafka broker into a directory, once: fetch.sh DIRECTORY. What is missing for that on a
# Debian machine (Java, Maven) is installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
version=$(sed -n 's|^  <version>\(.*\)</version>|\1|p' "$here/pom.xml")
mkdir -p "$(dirname "$to")"
# Test binaries of several crates may ask at once.
exec 9>"$to.lock"
flock 9
[ "$(cat "$to/complete" 2>/dev/null)" = "$version" ] && exit 0

"$here/../install.sh" 'command -v java && command -v mvn' default-jre-headless maven
rm -rf "$to"
mvn -B -q -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$to"
echo "$version" >"$to/complete"
